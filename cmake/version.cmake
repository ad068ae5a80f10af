# One source of the version: git. A tag vX.Y.Z is the release X.Y.Z; commits after it, or a tree without
# tags, print the next release as a pre-release: above what is out, below what comes.
set(VMNET_NEXT_RELEASE "0.14.0")

find_package(Git QUIET)
set(root "${CMAKE_CURRENT_LIST_DIR}/..")
set(description "")
set(commit "")
if(GIT_FOUND AND EXISTS "${root}/.git")
  set(git ${GIT_EXECUTABLE} -c "safe.directory=*" -C "${root}")
  execute_process(COMMAND ${git} describe --tags --exact-match --match "v*"
                  OUTPUT_VARIABLE description OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  execute_process(COMMAND ${git} rev-parse HEAD
                  OUTPUT_VARIABLE commit OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  # A new commit must reach the binaries of an existing build folder.
  execute_process(COMMAND ${git} rev-parse --git-path logs/HEAD
                  OUTPUT_VARIABLE log OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  get_filename_component(log "${log}" ABSOLUTE BASE_DIR "${root}")
  if(EXISTS "${log}")
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${log}")
  endif()
else()
  # A tarball that git made (`git archive`, a forge's "source code"): git filled in the commit and its names.
  file(STRINGS "${CMAKE_CURRENT_LIST_DIR}/archived_commit.txt" archived)
  if(archived MATCHES "^([0-9a-f]+) \\((.*)\\)$")
    set(commit "${CMAKE_MATCH_1}")
    if(CMAKE_MATCH_2 MATCHES "tag: (v[0-9]+\\.[0-9]+\\.[0-9]+)(,|$)")
      set(description "${CMAKE_MATCH_1}")
    endif()
  endif()
endif()

set(VMNET_COMMIT "unknown")
if(commit)
  set(VMNET_COMMIT "${commit}")
endif()
if(description MATCHES "^v([0-9]+\\.[0-9]+\\.[0-9]+)$")
  set(VMNET_SEMVER "${CMAKE_MATCH_1}")
  set(VMNET_VERSION "v${CMAKE_MATCH_1}")
else()
  set(VMNET_SEMVER "${VMNET_NEXT_RELEASE}")
  set(VMNET_VERSION "v${VMNET_NEXT_RELEASE}-dev")
endif()
