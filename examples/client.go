// A client in Go: the helper's socket of a name, net.DialUnix, the JSON line, one frame each way.
//
//	go run client.go [OPTION-OF-VMNET-HELPER]...
//
// VMNET_HELPER names the program where it is not /opt/vmnet-helper/bin/vmnet-helper. A real client
// would hand the connection to its VM; this one asks who has the gateway's address, as a VM would.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

type vmnetInterface struct {
	MAC           string `json:"vmnet_mac_address"`
	Gateway       string `json:"vmnet_start_address"`
	Address       string `json:"ip_address"`
	MaxPacketSize int    `json:"vmnet_max_packet_size"`
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func arpRequest(mac net.HardwareAddr, own, target net.IP) []byte {
	var frame bytes.Buffer
	frame.Write([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	frame.Write(mac)
	frame.Write([]byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1})
	frame.Write(mac)
	frame.Write(own)
	frame.Write(make([]byte, 6))
	frame.Write(target)
	return frame.Bytes()
}

func main() {
	program := os.Getenv("VMNET_HELPER")
	if program == "" {
		program = "/opt/vmnet-helper/bin/vmnet-helper"
	}
	dir, err := os.MkdirTemp("", "vmnet")
	check(err)
	defer os.RemoveAll(dir)
	remote := net.UnixAddr{Name: filepath.Join(dir, "vm.sock"), Net: "unixgram"}
	local := net.UnixAddr{Name: filepath.Join(dir, "client.sock"), Net: "unixgram"}

	args := append([]string{"--non-interactive", program, "--socket", remote.Name}, os.Args[1:]...)
	helper := exec.Command("sudo", args...)
	helper.Stderr = os.Stderr
	stdout, err := helper.StdoutPipe()
	check(err)
	check(helper.Start())
	var vmnet vmnetInterface
	check(json.NewDecoder(stdout).Decode(&vmnet)) // EOF: it failed and said why
	fmt.Printf("VM: %s %s\n", vmnet.MAC, vmnet.Address)

	vm, err := net.DialUnix("unixgram", &local, &remote)
	check(err)
	check(vm.SetWriteBuffer(1 << 20))
	mac, err := net.ParseMAC(vmnet.MAC)
	check(err)
	gateway := net.ParseIP(vmnet.Gateway).To4()
	_, err = vm.Write(arpRequest(mac, net.ParseIP(vmnet.Address).To4(), gateway))
	check(err)
	frame := make([]byte, vmnet.MaxPacketSize)
	for {
		size, err := vm.Read(frame)
		check(err)
		if size >= 42 && bytes.Equal(frame[12:14], []byte{8, 6}) && frame[21] == 2 &&
			bytes.Equal(frame[28:32], gateway) {
			fmt.Printf("gateway: %s %s\n", net.HardwareAddr(frame[22:28]), vmnet.Gateway)
			break
		}
	}
	vm.Close()
	check(helper.Process.Signal(syscall.SIGTERM)) // sudo passes it on
	check(helper.Wait())
}
