# The layout of docs/install.md: PREFIX/bin and PREFIX/share, or the folders that CMAKE_INSTALL_BINDIR and
# its like name. What holds the path of an installed program is made at installation, which knows the prefix.

set(completions ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
set(zsh_functions ${CMAKE_INSTALL_DATADIR}/zsh/site-functions)
set(fish_completions ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)

# Whatever the umask, what is installed is for all to read: CMake sees to the files, not to the folders that
# it makes. One that is there is left as it is.
set(folders "${CMAKE_INSTALL_BINDIR}" "${CMAKE_INSTALL_DATADIR}/vmnet-helper/examples"
    "${CMAKE_INSTALL_DOCDIR}/sudoers.d" "${CMAKE_INSTALL_MANDIR}/man1" "${CMAKE_INSTALL_MANDIR}/man8"
    "${completions}" "${zsh_functions}" "${fish_completions}")
if(VMNET_PLATFORM STREQUAL "linux")
  list(APPEND folders "${CMAKE_INSTALL_MANDIR}/man5" "${CMAKE_INSTALL_DOCDIR}/systemd/system" "${CMAKE_INSTALL_DOCDIR}/systemd/user"
       "${CMAKE_INSTALL_DOCDIR}/systemd/network" "${CMAKE_INSTALL_DOCDIR}/NetworkManager/conf.d")
else()
  list(APPEND folders "${CMAKE_INSTALL_DOCDIR}/launchd")
endif()
install(CODE "set(folders \"${folders}\")
              foreach(folder IN LISTS folders)
                cmake_path(ABSOLUTE_PATH folder BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\" NORMALIZE)
                set(folder \"\$ENV{DESTDIR}\${folder}\")
                set(missing \"\")
                while(NOT EXISTS \"\${folder}\")
                  list(APPEND missing \"\${folder}\")
                  cmake_path(GET folder PARENT_PATH folder)
                endwhile()
                if(missing)
                  file(MAKE_DIRECTORY \${missing})
                  file(CHMOD \${missing} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
                       GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
                endif()
              endforeach()")
install(TARGETS vmnet-helper vmnet-run RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
# The example tool, which needs nothing of a checkout but its own code.
install(PROGRAMS example DESTINATION ${CMAKE_INSTALL_DATADIR}/vmnet-helper)
install(DIRECTORY examples/vmtool DESTINATION ${CMAKE_INSTALL_DATADIR}/vmnet-helper/examples
        FILES_MATCHING PATTERN "*.py")

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
  install(CODE "set(VMNET_BIN \"${CMAKE_INSTALL_BINDIR}\")
                set(installed \"${folder}/${name}\")
                cmake_path(ABSOLUTE_PATH VMNET_BIN BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\" NORMALIZE)
                cmake_path(ABSOLUTE_PATH installed BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\" NORMALIZE)
                set(VMNET_SUDO_GROUP \"${VMNET_SUDO_GROUP}\")
                message(STATUS \"Installing: \$ENV{DESTDIR}\${installed}\")
                configure_file(\"${CMAKE_SOURCE_DIR}/${file}\" \"\$ENV{DESTDIR}\${installed}\"
                               @ONLY NO_SOURCE_PERMISSIONS)
                list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${installed}\")")
endfunction()

install_for_prefix(packaging/sudoers.d/vmnet-helper.in ${CMAKE_INSTALL_DOCDIR}/sudoers.d)
install_for_prefix(packaging/man/vmnet-helper.8 ${CMAKE_INSTALL_MANDIR}/man8)
install_for_prefix(packaging/man/vmnet-run.1 ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES packaging/completion/vmnet-helper.bash DESTINATION ${completions} RENAME vmnet-helper)
install(FILES packaging/completion/vmnet-run.bash DESTINATION ${completions} RENAME vmnet-run)
install(FILES packaging/completion/_vmnet-helper packaging/completion/_vmnet-run
        DESTINATION ${zsh_functions})
install(FILES packaging/completion/vmnet-helper.fish packaging/completion/vmnet-run.fish
        DESTINATION ${fish_completions})
if(VMNET_PLATFORM STREQUAL "linux")
  install_for_prefix(packaging/man/vmnet-helper.conf.5 ${CMAKE_INSTALL_MANDIR}/man5)
  # An example, which changes nothing: in /etc it is read.
  install(FILES packaging/vmnet-helper.conf DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install_for_prefix(packaging/systemd/vmnet-helper@.service.in ${CMAKE_INSTALL_DOCDIR}/systemd/system)
  install_for_prefix(packaging/systemd/user/vmnet-helper@.service.in ${CMAKE_INSTALL_DOCDIR}/systemd/user)
  # A distribution's package puts them where their readers are, install.sh in /etc.
  install(FILES packaging/network/60-vmnet-helper.link packaging/network/60-vmnet-helper.network
          DESTINATION ${CMAKE_INSTALL_DOCDIR}/systemd/network)
  install(FILES packaging/network/60-vmnet-helper.conf
          DESTINATION ${CMAKE_INSTALL_DOCDIR}/NetworkManager/conf.d)
else()
  install(FILES packaging/macos/vmnet-helper.entitlements DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install_for_prefix(packaging/macos/vmnet-helper.plist ${CMAKE_INSTALL_DOCDIR}/launchd)
endif()
