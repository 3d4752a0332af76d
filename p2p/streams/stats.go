package streams

import (
	"io"
	"sync/atomic"
)

// Stats counts what the carrier sent, refused and gave up.
type Stats struct {
	// BytesSent are handed to libp2p: frames with their heads, control frames
	// and handshakes. What connections, their encryption and libp2p's own
	// protocols add is not in it.
	BytesSent uint64
	// LivenessBytesSent are, of BytesSent, those of control frames: signs of
	// life, pings and pongs.
	LivenessBytesSent uint64

	HandshakesRefused uint64 // for want of a slot, also later, or because the peer is refused for now
	HandshakesFailed  uint64 // inbound, for whatever reason
	LinksUp           uint64
	LinksDown         uint64
	Silent            uint64 // of LinksDown, those for silence
}

type counters struct {
	bytesSent, livenessBytesSent                                    atomic.Uint64
	handshakesRefused, handshakesFailed, linksUp, linksDown, silent atomic.Uint64
}

// Stats returns the counters.
func (c *Carrier) Stats() Stats {
	return Stats{
		BytesSent:         c.counter.bytesSent.Load(),
		LivenessBytesSent: c.counter.livenessBytesSent.Load(),
		HandshakesRefused: c.counter.handshakesRefused.Load(),
		HandshakesFailed:  c.counter.handshakesFailed.Load(),
		LinksUp:           c.counter.linksUp.Load(),
		LinksDown:         c.counter.linksDown.Load(),
		Silent:            c.counter.silent.Load(),
	}
}

// wrote counts what went out on a stream.
func (c *Carrier) wrote(bytes, control int) {
	c.counter.bytesSent.Add(uint64(bytes))
	if control > 0 {
		c.counter.livenessBytesSent.Add(uint64(control))
	}
}

// metered counts what is written in a handshake.
type metered struct {
	io.ReadWriter
	c *Carrier
}

// Write implements [io.Writer].
func (m metered) Write(b []byte) (int, error) {
	n, err := m.ReadWriter.Write(b)
	m.c.wrote(n, 0)
	return n, err
}
