# The layout of docs/install.md: PREFIX/bin and PREFIX/share. What holds a path of an installed
# program is made when the prefix is known, at installation.
install(TARGETS vmnet-helper vmnet-run RUNTIME DESTINATION bin)
install(FILES LICENSE README.md CHANGELOG.md DESTINATION share/doc/vmnet-helper)
# The example tool, which needs nothing of a checkout but its own code.
install(PROGRAMS example DESTINATION share/vmnet-helper)
install(DIRECTORY examples/vmtool DESTINATION share/vmnet-helper/examples FILES_MATCHING PATTERN "*.py")

if(VMNET_PLATFORM STREQUAL "linux")
  set(VMNET_SUDO_GROUP kvm)
else()
  set(VMNET_SUDO_GROUP staff)
endif()

# install_for_prefix(FILE FOLDER): installs FILE, its @VMNET_BIN@ and @VMNET_SUDO_GROUP@ filled in.
# Nothing of it passes through the build folder: several installations may run at a time.
function(install_for_prefix file folder)
  get_filename_component(name "${file}" NAME)
  string(REGEX REPLACE "\\.in$" "" name "${name}")
  install(CODE "set(VMNET_BIN \"\${CMAKE_INSTALL_PREFIX}/bin\")
                set(VMNET_SUDO_GROUP \"${VMNET_SUDO_GROUP}\")
                set(installed \"\${CMAKE_INSTALL_PREFIX}/${folder}/${name}\")
                message(STATUS \"Installing: \$ENV{DESTDIR}\${installed}\")
                configure_file(\"${CMAKE_SOURCE_DIR}/${file}\" \"\$ENV{DESTDIR}\${installed}\"
                               @ONLY NO_SOURCE_PERMISSIONS)
                list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${installed}\")")
endfunction()

install_for_prefix(packaging/sudoers.d/vmnet-helper.in share/doc/vmnet-helper/sudoers.d)
install(FILES packaging/man/vmnet-helper.8 DESTINATION share/man/man8)
install(FILES packaging/man/vmnet-run.1 DESTINATION share/man/man1)
install(FILES packaging/completion/vmnet-helper.bash
        DESTINATION share/bash-completion/completions RENAME vmnet-helper)
install(FILES packaging/completion/vmnet-run.bash
        DESTINATION share/bash-completion/completions RENAME vmnet-run)
install(FILES packaging/completion/_vmnet-helper packaging/completion/_vmnet-run
        DESTINATION share/zsh/site-functions)
install(FILES packaging/completion/vmnet-helper.fish packaging/completion/vmnet-run.fish
        DESTINATION share/fish/vendor_completions.d)
if(VMNET_PLATFORM STREQUAL "linux")
  install_for_prefix(packaging/systemd/vmnet-helper@.service.in share/doc/vmnet-helper/systemd/system)
  install_for_prefix(packaging/systemd/user/vmnet-helper@.service.in
                     share/doc/vmnet-helper/systemd/user)
else()
  install(FILES packaging/macos/vmnet-helper.entitlements DESTINATION share/doc/vmnet-helper)
  install(FILES packaging/macos/vmnet-helper.plist DESTINATION share/doc/vmnet-helper/launchd)
endif()
