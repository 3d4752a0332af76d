package carrier

import (
	"bytes"
	"fmt"

	"github.com/busnode/busnode/gossip/wire"
)

var _ Dialer = (*memoryCarrier)(nil)

// memoryRecord begins the record of a peer on the in-memory network, which its
// name follows: whoever knows a name can connect.
var memoryRecord = []byte("memory record of ")

// Record implements [Dialer].
func (c *memoryCarrier) Record() []byte { return append(bytes.Clone(memoryRecord), c.self...) }

// RecordChanged implements [Dialer]: no record changes.
func (c *memoryCarrier) RecordChanged() <-chan struct{} { return nil }

// Check implements [Dialer].
func (c *memoryCarrier) Check(signed []byte) (wire.PeerID, uint64, error) {
	name, ok := bytes.CutPrefix(signed, memoryRecord)
	if !ok || len(name) == 0 {
		return "", 0, fmt.Errorf("%w: %d bytes", ErrRecord, len(signed))
	}
	return wire.PeerID(name), 0, nil
}

// Dial implements [Dialer]. It fails at once, before it returns. Peers that were
// disconnected by name stay so.
func (c *memoryCarrier) Dial(signed []byte, failed func(error)) {
	peer, _, err := c.Check(signed)
	if err == nil {
		err = c.connect(peer)
	}
	if err != nil {
		failed(err)
	}
}

// connect links the two, or says why that cannot be.
func (c *memoryCarrier) connect(peer wire.PeerID) error {
	n := c.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if c.closed || !c.started {
		return ErrClosed
	}
	if n.members[peer] == nil || peer == c.self {
		return fmt.Errorf("%w: nobody of that name", ErrNoLink)
	}
	p := n.pair(pairOf(c.self, peer))
	if p.parted {
		return errDisconnected
	}
	before := p.want
	p.want = true
	n.settle(p)
	if reason := n.reasonApart(p, n.members[p.key.a], n.members[p.key.b]); reason != nil {
		p.want = before
		return reason
	}
	return nil
}

// Avoid implements [Dialer]: an in-memory carrier connects to nobody by itself.
func (c *memoryCarrier) Avoid(wire.PeerID) {}

// Release implements [Dialer].
func (c *memoryCarrier) Release(peer wire.PeerID) {
	c.net.change(func() {
		if p := c.net.pairs[pairOf(c.self, peer)]; p != nil {
			p.want = false
		}
	})
}
