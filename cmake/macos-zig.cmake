# Tool chain of the cross build for macOS on Linux (scripts/build-macos): zig compiles and links, with
# the system's headers and stubs that it brings and our own of vmnet.framework (src/macos/sdk).
#
#   -DVMNET_ZIG=PATH              the zig program
#   -DVMNET_MACOS_ARCH=aarch64    or x86_64
#   -DVMNET_HEADER_LIBRARIES=DIR  holds fmt/ and nlohmann/ and nothing else of /usr/include
set(CMAKE_SYSTEM_NAME Darwin)
set(CMAKE_SYSTEM_PROCESSOR ${VMNET_MACOS_ARCH})
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES VMNET_ZIG VMNET_MACOS_ARCH)
set(CMAKE_OSX_SYSROOT "")

set(vmnet_target "${VMNET_MACOS_ARCH}-macos.13.0")
set(vmnet_sdk "${CMAKE_CURRENT_LIST_DIR}/../src/macos/sdk")
set(vmnet_entitlements
    "${CMAKE_CURRENT_LIST_DIR}/../packaging/macos/vmnet-helper.entitlements")

set(CMAKE_CXX_COMPILER ${VMNET_ZIG} c++)
set(CMAKE_CXX_FLAGS_INIT "-target ${vmnet_target} -isystem ${vmnet_sdk}")
# What CMake would find out by linking a program: zig would first build a C++ library for that, a
# minute for nothing.
set(CMAKE_CXX_COMPILER_ID_RUN TRUE)
set(CMAKE_CXX_COMPILER_ID Clang)
set(CMAKE_CXX_COMPILER_FRONTEND_VARIANT GNU)
set(CMAKE_CXX_PLATFORM_ID Darwin)
set(CMAKE_CXX_STANDARD_COMPUTED_DEFAULT 17)
set(CMAKE_CXX_EXTENSIONS_COMPUTED_DEFAULT ON)
execute_process(COMMAND ${CMAKE_CXX_COMPILER} --version OUTPUT_VARIABLE vmnet_version)
string(REGEX MATCH "[0-9]+[.][0-9.]+" CMAKE_CXX_COMPILER_VERSION "${vmnet_version}")

find_program(CMAKE_AR NAMES llvm-ar-19 llvm-ar REQUIRED)
find_program(CMAKE_RANLIB NAMES llvm-ranlib-19 llvm-ranlib REQUIRED)
find_program(CMAKE_INSTALL_NAME_TOOL NAMES llvm-install-name-tool-19 llvm-install-name-tool REQUIRED)
set(CMAKE_CXX_ARCHIVE_CREATE "<CMAKE_AR> --format=darwin qcD <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_APPEND "<CMAKE_AR> --format=darwin qD <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "<CMAKE_RANLIB> -D <TARGET>")

# Not by `zig c++`, whose linker signs without entitlements.
string(CONCAT CMAKE_CXX_LINK_EXECUTABLE
       "${VMNET_ZIG} build-exe -target ${vmnet_target} -O ReleaseFast -fstrip"
       " --entitlements ${vmnet_entitlements} <OBJECTS> <LINK_LIBRARIES> -lc++"
       " -F${vmnet_sdk} -femit-bin=<TARGET>")
