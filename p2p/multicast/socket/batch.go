package socket

import (
	"errors"
	"net"
	"net/netip"
)

// DatagramMaxBytes bounds what is received; longer ones are refused. It is
// above what an Ethernet frame can carry.
const DatagramMaxBytes = 1536

// Datagram is a datagram that came in.
type Datagram struct {
	Bytes []byte         // in the batch's own memory
	From  netip.AddrPort // without a zone
}

// Batch holds the datagrams of one [Conn.Read] until the next into the same batch.
type Batch struct {
	Datagrams []Datagram
	space
}

// Read fills the batch with datagrams that came in and are in order, at least
// one; it waits for them. The error is net.ErrClosed after Close; any
// other one is of the system's and may pass.
func (c *Conn) Read(b *Batch) error {
	b.Datagrams = b.Datagrams[:0]
	for len(b.Datagrams) == 0 {
		if err := c.rx.read(c, b); err != nil {
			return err
		}
	}
	return nil
}

// Write sends the datagrams, in order, and returns how many the system took. It
// waits while the interface's queue is full. One that it refuses is skipped;
// the error is the first one's. Datagrams must not be empty.
//
// Up to burst of them, if they are of one length, are handed to the system as one
// where it can cut them apart late: that costs a fraction. On the way through
// this machine, or to another one's guest, they may be lost together then.
func (c *Conn) Write(datagrams [][]byte, burst int) (sent int, err error) {
	for len(datagrams) > 0 {
		n, cause := c.tx.write(c, datagrams, burst)
		sent += n
		datagrams = datagrams[n:]
		if cause == nil {
			continue
		}
		if err == nil {
			err = cause
		}
		if errors.Is(cause, net.ErrClosed) {
			break
		}
		datagrams = datagrams[min(1, len(datagrams)):]
		c.counters.failed.Add(1)
	}
	c.counters.sent.Add(uint64(sent))
	return sent, err
}

// Unread reports whether datagrams wait to be read, as far as the system tells. It
// may be called while another goroutine reads, by one at a time.
func (c *Conn) Unread() bool { return c.peek.unread(c) }
