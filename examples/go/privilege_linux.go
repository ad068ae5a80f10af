package vmnet

import (
	"os"
	"syscall"
)

// privileged says whether the program brings its privilege along: by its setuid bit or file capabilities.
func privileged(program string) bool {
	info, err := os.Stat(program)
	if err != nil {
		return false
	}
	_, err = syscall.Getxattr(program, "security.capability", nil)
	return err == nil || info.Mode()&os.ModeSetuid != 0
}
