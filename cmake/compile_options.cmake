# Flags of every target: warnings, and the hardening that a root program owes. Warnings are errors in
# the developers' presets alone (CMAKE_COMPILE_WARNING_AS_ERROR): a newer compiler has new ones.
include(CheckCXXSourceCompiles)

# A program that has root's privilege, even for a moment, is not built without optimisation by default:
# the hardening of the C library needs it. CMAKE_BUILD_TYPE=None keeps to the flags from outside.
get_property(multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
if(NOT CMAKE_BUILD_TYPE AND NOT multi_config)
  message(STATUS "No build type given: RelWithDebInfo")
  set(CMAKE_BUILD_TYPE RelWithDebInfo)
endif()
set(type RelWithDebInfo)
if(NOT multi_config)
  set(type ${CMAKE_BUILD_TYPE})
endif()
set(CMAKE_TRY_COMPILE_CONFIGURATION ${type})
# What is asked is asked again when the flags are others.
string(TOUPPER ${type} upper_type)
set(asked "${CMAKE_CXX_COMPILER} ${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${upper_type}}")
if(NOT asked STREQUAL VMNET_ASKED)
  unset(VMNET_HAS_EXPECTED CACHE)
  unset(VMNET_OPTIMISED CACHE)
  unset(VMNET_FORTIFIED CACHE)
  set(VMNET_ASKED "${asked}" CACHE INTERNAL "What the answers below are for")
endif()
set(CMAKE_REQUIRED_QUIET ON)
check_cxx_source_compiles("#include <expected>\nstd::expected<int, int> value; int main() { return *value; }"
                          VMNET_HAS_EXPECTED)
check_cxx_source_compiles("#ifndef __OPTIMIZE__\n#error no\n#endif\nint main() {}" VMNET_OPTIMISED)
check_cxx_source_compiles("#ifndef _FORTIFY_SOURCE\n#error no\n#endif\nint main() {}" VMNET_FORTIFIED)
if(NOT VMNET_HAS_EXPECTED)
  message(FATAL_ERROR "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION} has no std::expected (C++23) here:"
                      " take g++ 12 or newer, or clang 19 or newer (CXX=g++ cmake ...)")
endif()

add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                    -Wnon-virtual-dtor -Woverloaded-virtual
                    # Designated initialisers leave the other members to their defaults on purpose.
                    -Wno-missing-field-initializers)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# Where it was built is not in the binaries: the same commit gives the same bytes.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}=." "-ffile-prefix-map=${CMAKE_BINARY_DIR}=build")

# Without optimisation the C library does not check, it only warns that it does not. In two ways, since
# what came by -Wp is read after what came without.
set(VMNET_UNFORTIFY -U_FORTIFY_SOURCE)
if(VMNET_FORTIFIED)
  list(APPEND VMNET_UNFORTIFY -Wp,-U_FORTIFY_SOURCE)
  if(NOT VMNET_OPTIMISED)
    add_compile_options(${VMNET_UNFORTIFY})
  endif()
endif()
if(VMNET_SANITIZE)
  add_compile_options(-fsanitize=${VMNET_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VMNET_SANITIZE})
else()
  add_compile_options(-fstack-protector-strong)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    add_compile_options(-fstack-clash-protection)
    add_compile_definitions(_GLIBCXX_ASSERTIONS)
    add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)
    # A level from outside, the compiler's own or a packager's, stays.
    if(VMNET_OPTIMISED AND NOT VMNET_FORTIFIED)
      add_compile_options("$<$<NOT:$<CONFIG:Debug>>:-D_FORTIFY_SOURCE=2>")
    endif()
  endif()
endif()
if(VMNET_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
