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

// start starts the helper and waits until its interface works.
func start(socket string) (*exec.Cmd, *vmnetInterface, error) {
	program := os.Getenv("VMNET_HELPER")
	if program == "" {
		program = "/opt/vmnet-helper/bin/vmnet-helper"
	}
	args := append([]string{"--non-interactive", program, "--socket", socket}, os.Args[1:]...)
	helper := exec.Command("sudo", args...)
	helper.Stderr = os.Stderr
	stdout, err := helper.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := helper.Start(); err != nil {
		return nil, nil, err
	}
	var vmnet vmnetInterface
	if err := json.NewDecoder(stdout).Decode(&vmnet); err != nil {
		helper.Wait()
		return nil, nil, fmt.Errorf("the helper failed; it said why")
	}
	return helper, &vmnet, nil
}

// askForGateway prints the gateway's MAC address.
func askForGateway(vm *net.UnixConn, vmnet *vmnetInterface) error {
	mac, err := net.ParseMAC(vmnet.MAC)
	if err != nil {
		return err
	}
	gateway := net.ParseIP(vmnet.Gateway).To4()
	if _, err := vm.Write(arpRequest(mac, net.ParseIP(vmnet.Address).To4(), gateway)); err != nil {
		return err
	}
	frame := make([]byte, vmnet.MaxPacketSize+8) // two VLAN tags
	for {
		size, err := vm.Read(frame)
		if err != nil {
			return err
		}
		if size >= 42 && bytes.Equal(frame[12:14], []byte{8, 6}) && frame[21] == 2 &&
			bytes.Equal(frame[28:32], gateway) {
			fmt.Printf("gateway: %s %s\n", net.HardwareAddr(frame[22:28]), vmnet.Gateway)
			return nil
		}
	}
}

func run() error {
	dir, err := os.MkdirTemp("", "vmnet")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	remote := net.UnixAddr{Name: filepath.Join(dir, "vm.sock"), Net: "unixgram"}
	local := net.UnixAddr{Name: filepath.Join(dir, "client.sock"), Net: "unixgram"}
	helper, vmnet, err := start(remote.Name)
	if err != nil {
		return err
	}
	defer helper.Wait()
	defer helper.Process.Signal(syscall.SIGTERM) // sudo passes it on
	fmt.Printf("VM: %s %s\n", vmnet.MAC, vmnet.Address)

	vm, err := net.DialUnix("unixgram", &local, &remote)
	if err != nil {
		return err
	}
	defer vm.Close()
	if err := vm.SetWriteBuffer(1 << 20); err != nil {
		return err
	}
	return askForGateway(vm, vmnet)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}
