# The libraries of all platforms: fmt and nlohmann-json, from their packages or, where the system's
# include folder must stay out of the build (cross builds), from a folder of headers.
set(VMNET_HEADER_LIBRARIES "" CACHE PATH "Folder of fmt's and nlohmann-json's headers")

if(VMNET_HEADER_LIBRARIES)
  add_library(vmnet_fmt STATIC "${CMAKE_CURRENT_LIST_DIR}/fmt_bodies.cc")
  target_include_directories(vmnet_fmt SYSTEM PUBLIC ${VMNET_HEADER_LIBRARIES})
  add_library(fmt::fmt ALIAS vmnet_fmt)
  add_library(vmnet_json INTERFACE)
  target_include_directories(vmnet_json SYSTEM INTERFACE ${VMNET_HEADER_LIBRARIES})
  add_library(nlohmann_json::nlohmann_json ALIAS vmnet_json)
else()
  find_package(fmt REQUIRED)
  find_package(nlohmann_json REQUIRED)
endif()
find_package(Threads REQUIRED)
