// Asks the gateway of a new network for its MAC address, as a VM would:
//
//	go run ./gateway [-stream] [OPTION-OF-VMNET-HELPER]...
package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	vmnet "github.com/vmnet-helper/vmnet-helper/examples/go"
)

func arpRequest(mac net.HardwareAddr, own, target net.IP) []byte {
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac...)
	frame = append(frame, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	frame = append(append(frame, mac...), own...)
	return append(append(frame, make([]byte, 6)...), target...)
}

// readFrame reads the next frame: a datagram, or of a stream what is behind its length.
func readFrame(conn *net.UnixConn, stream bool, buffer []byte) ([]byte, error) {
	if !stream {
		size, err := conn.Read(buffer)
		return buffer[:size], err
	}
	if _, err := io.ReadFull(conn, buffer[:4]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(buffer)
	if int(size) > len(buffer) {
		return nil, fmt.Errorf("a frame of %d bytes", size)
	}
	_, err := io.ReadFull(conn, buffer[:size])
	return buffer[:size], err
}

func run(stream bool, options []string) error {
	network, err := vmnet.Start(vmnet.Config{
		Helper: os.Getenv("VMNET_HELPER"), Options: options, Stream: stream})
	if err != nil {
		return err
	}
	defer network.Close()
	fmt.Printf("VM: %s %s\n", network.MAC, network.Address)
	conn, err := network.Conn()
	if err != nil {
		return err
	}
	defer conn.Close()
	mac, err := net.ParseMAC(network.MAC)
	if err != nil {
		return err
	}
	gateway := net.ParseIP(network.Gateway).To4()
	request := arpRequest(mac, net.ParseIP(network.Address).To4(), gateway)
	if stream {
		request = append(binary.BigEndian.AppendUint32(nil, uint32(len(request))), request...)
	}
	if _, err := conn.Write(request); err != nil {
		return err
	}
	buffer := make([]byte, network.MaxPacketSize+8) // two VLAN tags
	for {
		frame, err := readFrame(conn, stream, buffer)
		if err != nil {
			return err
		}
		if len(frame) >= 42 && bytes.Equal(frame[12:14], []byte{8, 6}) && frame[21] == 2 &&
			bytes.Equal(frame[28:32], gateway) {
			fmt.Printf("gateway: %s %s\n", net.HardwareAddr(frame[22:28]), network.Gateway)
			return network.Close()
		}
	}
}

func main() {
	stream := len(os.Args) > 1 && os.Args[1] == "-stream"
	options := os.Args[1:]
	if stream {
		options = options[1:]
	}
	if err := run(stream, options); err != nil {
		log.Fatal(err)
	}
}
