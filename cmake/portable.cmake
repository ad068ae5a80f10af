# For release tarballs, which run on other distributions: all but the C library and libmnl (Debian has
# no static one; iproute2 needs it, so it is everywhere) is linked in.
set(VMNET_FMT fmt::fmt-header-only)
add_link_options(-static-libstdc++ -static-libgcc)
if(VMNET_PLATFORM STREQUAL "linux")
  find_library(VMNET_SECCOMP_ARCHIVE libseccomp.a REQUIRED)
  set_target_properties(PkgConfig::SECCOMP PROPERTIES INTERFACE_LINK_LIBRARIES
                        "${VMNET_SECCOMP_ARCHIVE}")
endif()
