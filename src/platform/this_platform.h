// Which of the two platforms this build is for, where code that both share must know.
#pragma once

namespace vmnet {

enum class Platform { kLinux, kMacos };

Platform this_platform();

}  // namespace vmnet
