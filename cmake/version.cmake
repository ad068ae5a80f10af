# One source of the version: `git describe`. A tag vX.Y.Z is the release X.Y.Z; commits after it, or
# a tree without tags, print the next release as a pre-release: above what is out, below what comes.
set(VMNET_NEXT_RELEASE "0.14.0")

find_package(Git QUIET)
set(description "")
set(VMNET_COMMIT "unknown")
if(GIT_FOUND AND EXISTS "${CMAKE_CURRENT_LIST_DIR}/../.git")
  set(git ${GIT_EXECUTABLE} -c "safe.directory=*" -C "${CMAKE_CURRENT_LIST_DIR}/..")
  execute_process(COMMAND ${git} describe --tags --exact-match --match "v*"
                  OUTPUT_VARIABLE description OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${git} rev-parse HEAD
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  if(commit)
    set(VMNET_COMMIT "${commit}")
  endif()
  # A new commit must reach the binaries of an existing build folder.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS
               "${CMAKE_CURRENT_LIST_DIR}/../.git/logs/HEAD")
endif()

if(description MATCHES "^v([0-9]+\\.[0-9]+\\.[0-9]+)$")
  set(VMNET_SEMVER "${CMAKE_MATCH_1}")
  set(VMNET_VERSION "v${CMAKE_MATCH_1}")
else()
  set(VMNET_SEMVER "${VMNET_NEXT_RELEASE}")
  set(VMNET_VERSION "v${VMNET_NEXT_RELEASE}-dev")
endif()
