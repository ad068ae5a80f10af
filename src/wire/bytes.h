// Network byte order. Fields of frames are read and written through these, byte by byte as far as
// the language is concerned (compilers make one load of it), so alignment and aliasing never
// matter.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace vmnet {

template <typename T>
constexpr T big_endian(T value) {
  if constexpr (std::endian::native == std::endian::big) return value;
  return std::byteswap(value);
}

template <typename T>
T load_native(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof(value));
  return value;
}

// The caller has checked that the bytes are there.
inline uint16_t load_be16(const uint8_t* from) { return big_endian(load_native<uint16_t>(from)); }
inline uint32_t load_be32(const uint8_t* from) { return big_endian(load_native<uint32_t>(from)); }

inline void store_be16(uint8_t* to, uint16_t value) {
  value = big_endian(value);
  std::memcpy(to, &value, sizeof(value));
}
inline void store_be32(uint8_t* to, uint32_t value) {
  value = big_endian(value);
  std::memcpy(to, &value, sizeof(value));
}

}  // namespace vmnet
