package p2p

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// gater keeps away peers that an operator blocked and those that the carrier
// refuses for now. It serves hosts of our own only.
type gater struct {
	refuses func(peer.ID) bool
	ready   chan struct{} // closed when refuses can be called: the host listens before its carrier exists

	mu      sync.RWMutex // guards blocked
	blocked map[peer.ID]bool
}

func newGater(refuses func(peer.ID) bool) *gater {
	return &gater{refuses: refuses, ready: make(chan struct{}), blocked: make(map[peer.ID]bool)}
}

func (g *gater) allow(p peer.ID) bool {
	<-g.ready
	g.mu.RLock()
	blocked := g.blocked[p]
	g.mu.RUnlock()
	return !blocked && !g.refuses(p)
}

func (g *gater) set(peers []peer.ID, blocked bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range peers {
		if blocked {
			g.blocked[p] = true
			continue
		}
		delete(g.blocked, p)
	}
}

// InterceptPeerDial implements connmgr.ConnectionGater.
func (g *gater) InterceptPeerDial(p peer.ID) bool { return g.allow(p) }

// InterceptAddrDial implements connmgr.ConnectionGater.
func (g *gater) InterceptAddrDial(p peer.ID, _ ma.Multiaddr) bool { return g.allow(p) }

// InterceptAccept implements connmgr.ConnectionGater. Who it is, is not known yet.
func (g *gater) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured implements connmgr.ConnectionGater.
func (g *gater) InterceptSecured(_ network.Direction, p peer.ID, _ network.ConnMultiaddrs) bool {
	return g.allow(p)
}

// InterceptUpgraded implements connmgr.ConnectionGater. It asks once more: the
// peer may have been blocked since.
func (g *gater) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return g.allow(c.RemotePeer()), 0
}
