// Package vmnet starts vmnet-helper and hands out the VM's end of its network.
//
//	network, err := vmnet.Start(vmnet.Config{Options: []string{"--interface-id", id}})
//	if err != nil {
//		return err
//	}
//	defer network.Close()
//	vm := exec.Command("qemu-system-x86_64", "-netdev", "dgram,id=n,local.type=fd,local.str=3", ...)
//	vm.ExtraFiles = []*os.File{network.File()}
//
// One frame is one datagram, or with Config.Stream a length of 32 bits, big endian, and the frame: what
// docs/integration.md says of --fd. On macOS and Linux; nothing but the standard library.
package vmnet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Interface is the JSON line of the helper. A key that a mode does not have is empty here.
type Interface struct {
	ID            string `json:"vmnet_interface_id"`
	MAC           string `json:"vmnet_mac_address"` // for the VM's network card
	MTU           int    `json:"vmnet_mtu"`
	MaxPacketSize int    `json:"vmnet_max_packet_size"` // of a frame, without its VLAN tags

	Gateway    string `json:"vmnet_start_address"`
	EndAddress string `json:"vmnet_end_address"`
	SubnetMask string `json:"vmnet_subnet_mask"`
	IPv6Prefix string `json:"vmnet_nat66_prefix"`

	NetworkSubnet        string `json:"net_ipv4_subnet"` // with --network: the gateway
	NetworkMask          string `json:"net_ipv4_mask"`
	NetworkIPv6Prefix    string `json:"net_ipv6_prefix"`
	NetworkIPv6PrefixLen int    `json:"net_ipv6_prefix_len"`

	Address       string `json:"ip_address"`     // what DHCP gives the VM (Linux)
	HostInterface string `json:"host_interface"` // the device on the host (Linux)
}

// Config says which network is wanted. Its zero value is shared mode with a random interface id.
type Config struct {
	Helper  string    // the program; empty: as Find finds it
	Options []string  // of vmnet-helper, but for --fd and --socket
	Stream  bool      // a stream socket, for QEMU's -netdev stream and -netdev socket
	Stderr  io.Writer // the helper's log; nil: os.Stderr
}

// Network is a helper that runs. Its methods may be called from several goroutines.
type Network struct {
	Interface

	vm     *os.File
	helper *exec.Cmd
	ended  chan struct{}
	status error // of the helper, once ended is closed
	once   sync.Once
}

// endTime is how long a helper may take to remove its network before it is killed.
const endTime = 10 * time.Second

const (
	sendBuffer    = 1 << 20
	receiveBuffer = 8 << 20
)

// places are where releases and packages install the helper, in the order of docs/integration.md.
var places = []string{
	"/opt/homebrew/opt/vmnet-helper/libexec/vmnet-helper",
	"/usr/local/opt/vmnet-helper/libexec/vmnet-helper",
	"/opt/vmnet-helper/bin/vmnet-helper",
}

// Find looks for an installed helper.
func Find() (string, error) {
	for _, place := range places {
		if info, err := os.Stat(place); err == nil && info.Mode().IsRegular() {
			return place, nil
		}
	}
	if found, err := exec.LookPath("vmnet-helper"); err == nil {
		return found, nil
	}
	return "", errors.New("vmnet: vmnet-helper is not installed: see its docs/install.md")
}

// Start starts a helper and returns once its interface works. The error holds what the helper said.
func Start(config Config) (*Network, error) {
	program := config.Helper
	if program == "" {
		var err error
		if program, err = Find(); err != nil {
			return nil, err
		}
	}
	ours, theirs, err := socketPair(config.Stream)
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	log := &lastError{to: config.Stderr}
	helper := command(program, append([]string{"--fd=3"}, config.Options...))
	helper.ExtraFiles = []*os.File{theirs}
	helper.Stderr = log
	stdout, err := helper.StdoutPipe()
	if err == nil {
		err = helper.Start()
	}
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("vmnet: cannot start %s: %w", program, err)
	}
	network := &Network{vm: ours, helper: helper, ended: make(chan struct{})}
	if err := json.NewDecoder(stdout).Decode(&network.Interface); err != nil {
		ours.Close()
		helper.Wait()
		return nil, fmt.Errorf("vmnet: %s", log.line())
	}
	go func() {
		network.status = helper.Wait()
		close(network.ended)
	}()
	return network, nil
}

// command is the helper, through sudo where it cannot get its privilege by itself.
func command(program string, options []string) *exec.Cmd {
	if os.Geteuid() == 0 || privileged(program) {
		return exec.Command(program, options...)
	}
	sudo := []string{"--non-interactive", "--close-from=4", program}
	return exec.Command("sudo", append(sudo, options...)...)
}

// socketPair makes the cable's ends, neither inherited but by ExtraFiles.
func socketPair(stream bool) (ours, theirs *os.File, err error) {
	kind := syscall.SOCK_DGRAM
	if stream {
		kind = syscall.SOCK_STREAM
	}
	syscall.ForkLock.RLock()
	ends, err := syscall.Socketpair(syscall.AF_UNIX, kind, 0)
	if err == nil {
		syscall.CloseOnExec(ends[0])
		syscall.CloseOnExec(ends[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("vmnet: cannot create a pair of sockets: %w", err)
	}
	for _, end := range ends {
		// An end that gets less works all the same.
		syscall.SetsockoptInt(end, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer)
		syscall.SetsockoptInt(end, syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBuffer)
	}
	return os.NewFile(uintptr(ends[0]), "vmnet"), os.NewFile(uintptr(ends[1]), "vmnet-helper"), nil
}

// File is the VM's end, for exec.Cmd.ExtraFiles. It stays the network's: Close closes it.
func (n *Network) File() *os.File { return n.vm }

// Conn is another descriptor of the VM's end, for programs that read and write frames themselves. The
// caller closes it.
func (n *Network) Conn() (*net.UnixConn, error) {
	conn, err := net.FileConn(n.vm)
	if err != nil {
		return nil, fmt.Errorf("vmnet: %w", err)
	}
	return conn.(*net.UnixConn), nil
}

// Ended is closed when the helper has ended, by Close or by itself.
func (n *Network) Ended() <-chan struct{} { return n.ended }

// Close ends the helper, which removes the network, and waits for that. The error is how it ended, nil for
// exit status 0.
func (n *Network) Close() error {
	n.once.Do(func() {
		n.helper.Process.Signal(syscall.SIGTERM) // sudo passes it on
		select {
		case <-n.ended:
		case <-time.After(endTime):
			n.vm.Close() // a helper whose VM has gone ends, under sudo too
			n.helper.Process.Kill()
			<-n.ended
		}
		n.vm.Close()
	})
	<-n.ended
	return n.status
}
