//go:build !linux

package socket

import (
	"errors"
	"net/netip"
)

// space is a batch's memory: of one datagram, for these systems read one at a time.
type space struct {
	buffer  [DatagramMaxBytes + 1]byte // one more shows that a datagram is longer
	control [controlBytes]byte
}

// reader has no state here.
type reader struct{}

func (*reader) init(*Conn) {}

func (*reader) read(c *Conn, b *Batch) error {
	n, oob, _, from, err := c.udp.ReadMsgUDPAddrPort(b.buffer[:], b.control[:])
	if err != nil && !isLong(err) {
		return err
	}
	from = netip.AddrPortFrom(from.Addr().Unmap().WithZone(""), from.Port())
	a := arrival{from: from, hops: -1, long: n > DatagramMaxBytes || isLong(err)}
	parseControl(c.family, b.control[:oob], &a)
	c.admit(b, b.buffer[:n], &a)
	return nil
}

// peeker has no state here.
type peeker struct{}

func (*peeker) init() {}

// unread does not know: then only a late clock tells that this process was not served.
func (*peeker) unread(*Conn) bool { return false }

// writer has no state here.
type writer struct{}

func (*writer) init(*Conn) {}

func (*writer) write(c *Conn, datagrams [][]byte, _ int) (sent int, err error) {
	for i, d := range datagrams {
		if _, err := c.udp.WriteToUDPAddrPort(d, c.to); err != nil {
			return i, err
		}
	}
	return len(datagrams), nil
}

// isLong reports whether the system cut a datagram off, which Windows calls an error.
func isLong(err error) bool { return err != nil && errors.Is(err, errLong) }
