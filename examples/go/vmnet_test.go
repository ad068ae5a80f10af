package vmnet

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// standIn is a helper that says what it is told to and ends as the real one does.
func standIn(t *testing.T, script string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "vmnet-helper")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 { // a stand-in for sudo too
		sudo := filepath.Join(filepath.Dir(program), "sudo")
		if err := os.WriteFile(sudo, []byte("#!/bin/sh\nshift 2\nexec \"$@\"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", filepath.Dir(program)+":"+os.Getenv("PATH"))
	}
	return program
}

const ready = `trap 'exit 0' TERM
echo '{"vmnet_mac_address":"76:6d:00:00:00:01","vmnet_mtu":1500,"new_key":[1]}'
while :; do sleep 0.05; done
`

func TestStartsAndEnds(t *testing.T) {
	program := standIn(t, `echo "INFO  [helper] options: $*" >&2`+"\n"+ready)
	var log bytes.Buffer
	network, err := Start(Config{Helper: program, Options: []string{"--enable-isolation"}, Stderr: &log})
	if err != nil {
		t.Fatal(err)
	}
	if network.MAC != "76:6d:00:00:00:01" || network.MTU != 1500 {
		t.Errorf("interface: %+v", network.Interface)
	}
	if err := network.Close(); err != nil {
		t.Errorf("end: %v", err)
	}
	if err := network.Close(); err != nil {
		t.Errorf("the second end: %v", err)
	}
	if !strings.Contains(log.String(), "--fd=3 --enable-isolation") {
		t.Errorf("log: %q", log.String())
	}
	if _, err := network.File().Write(nil); err == nil {
		t.Error("the VM's end is still open")
	}
}

func TestTellsWhyAStartFailed(t *testing.T) {
	program := standIn(t, "echo 'ERROR [helper] no room' >&2\nexit 1\n")
	_, err := Start(Config{Helper: program, Stderr: &bytes.Buffer{}})
	if err == nil || !strings.Contains(err.Error(), "[helper] no room") {
		t.Errorf("error: %v", err)
	}
	if _, err = Start(Config{Helper: "/nowhere/vmnet-helper", Stderr: &bytes.Buffer{}}); err == nil {
		t.Error("started what is not there")
	}
}

func TestTellsThatTheHelperHasEnded(t *testing.T) {
	program := standIn(t, "echo '{}'\nexit 3\n")
	network, err := Start(Config{Helper: program})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-network.Ended():
	case <-time.After(time.Minute):
		t.Fatal("the end was not told")
	}
	if err := network.Close(); err == nil {
		t.Error("exit status 3 was not told")
	}
}

func TestTheSocketIsOfTheKindWanted(t *testing.T) {
	for _, stream := range []bool{false, true} {
		network, err := Start(Config{Helper: standIn(t, ready), Stream: stream})
		if err != nil {
			t.Fatal(err)
		}
		kind, err := syscall.GetsockoptInt(int(network.File().Fd()), syscall.SOL_SOCKET, syscall.SO_TYPE)
		if err != nil || (kind == syscall.SOCK_STREAM) != stream {
			t.Errorf("stream %v: kind %d, %v", stream, kind, err)
		}
		vm := exec.Command("/bin/sh", "-c", "test -S /dev/fd/3")
		vm.ExtraFiles = []*os.File{network.File()}
		if output, err := vm.CombinedOutput(); err != nil {
			t.Errorf("the VM does not get its end: %v: %s", err, output)
		}
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	}
}
