# The layout of docs/install.md: PREFIX/bin and PREFIX/share/doc/vmnet-helper.
install(TARGETS vmnet-helper vmnet-run RUNTIME DESTINATION bin)
install(FILES LICENSE README.md DESTINATION share/doc/vmnet-helper OPTIONAL)
if(VMNET_PLATFORM STREQUAL "macos")
  install(FILES packaging/macos/vmnet-helper.entitlements DESTINATION share/doc/vmnet-helper)
  install(FILES packaging/macos/sudoers DESTINATION share/doc/vmnet-helper/sudoers.d
          RENAME vmnet-helper)
endif()
