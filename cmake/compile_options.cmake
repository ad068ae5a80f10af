# Flags of every target: warnings are errors, and the hardening that a root program owes.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                    -Wnon-virtual-dtor -Woverloaded-virtual -Werror
                    # Designated initialisers leave the other members to their defaults on purpose.
                    -Wno-missing-field-initializers)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# Where it was built is not in the binaries: the same commit gives the same bytes.
add_compile_options("-ffile-prefix-map=${CMAKE_SOURCE_DIR}=." "-ffile-prefix-map=${CMAKE_BINARY_DIR}=build")

if(VMNET_SANITIZE)
  add_compile_options(-fsanitize=${VMNET_SANITIZE} -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${VMNET_SANITIZE})
else()
  add_compile_options(-fstack-protector-strong)
  if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    add_compile_options(-fstack-clash-protection)
    add_compile_definitions(_FORTIFY_SOURCE=2 _GLIBCXX_ASSERTIONS)
    add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)
  endif()
endif()
if(VMNET_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
endif()
