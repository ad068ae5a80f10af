package vmnet

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// privileged says whether the program needs no sudo: by its setuid bit, or from macOS 26 on.
func privileged(program string) bool {
	version, err := syscall.Sysctl("kern.osproductversion")
	if err == nil {
		major, err := strconv.Atoi(strings.SplitN(version, ".", 2)[0])
		if err == nil && major >= 26 {
			return true
		}
	}
	info, err := os.Stat(program)
	return err == nil && info.Mode()&os.ModeSetuid != 0
}
