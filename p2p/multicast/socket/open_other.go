//go:build !linux

package socket

import (
	"context"
	"fmt"
	"net"
	"syscall"
)

// listen returns a socket that is bound to the wildcard address and shares the
// port: the net package does so for a multicast address.
func listen(c *Conn) (*net.UDPConn, error) {
	network := "udp4"
	if c.family == IPv6 {
		network = "udp6"
	}
	conn, err := new(net.ListenConfig).ListenPacket(context.Background(), network, c.to.String())
	if err != nil {
		return nil, err
	}
	udp, ok := conn.(*net.UDPConn)
	if !ok {
		return nil, fmt.Errorf("socket: listening on %s gave a %T", network, conn)
	}
	return udp, nil
}

// growBuffer asks for a large receive buffer; these systems refuse what is above
// their limit, so less is asked for until one is granted.
func growBuffer(udp *net.UDPConn, _ syscall.RawConn) (granted int) {
	for bytes := ReceiveBufferBytes; bytes >= 64<<10; bytes /= 2 {
		if udp.SetReadBuffer(bytes) == nil {
			return bytes
		}
	}
	return 0
}
