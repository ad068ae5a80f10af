# What the macOS back end stands on: vmnet.framework, or the simulated system (tests/macos_sim).
if(VMNET_MACOS_SIM)
  add_library(vmnet_system ALIAS macos_sim)
else()
  add_library(vmnet_system INTERFACE)
  target_link_libraries(vmnet_system INTERFACE "-framework vmnet")
endif()

# Ad-hoc, with the entitlement that makes root unnecessary from macOS 26 on. The cross build's linker
# signs by itself.
function(vmnet_sign target)
  if(CMAKE_HOST_APPLE)
    add_custom_command(
      TARGET ${target} POST_BUILD
      COMMAND codesign --force --sign - --entitlements
              ${CMAKE_SOURCE_DIR}/packaging/macos/vmnet-helper.entitlements $<TARGET_FILE:${target}>
      VERBATIM)
  endif()
endfunction()

if(VMNET_SANITIZE MATCHES "undefined")
  # recvmsg_x and sendmsg_x are private: the names of their types are ours, and UBSan compares names.
  set_source_files_properties(macos/datagrams.cc PROPERTIES COMPILE_OPTIONS -fno-sanitize=function)
endif()
