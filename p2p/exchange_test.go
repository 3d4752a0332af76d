package p2p_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"

	"github.com/busnode/busnode/p2p"
)

func TestAPeerThatIsFullIsLeftAloneWhileThereAreOthers(t *testing.T) {
	for name, given := range map[string]bool{"own host": false, "host that was given": true} {
		t.Run(name, func(t *testing.T) {
			seed, other := started(t, p2p.Config{}), started(t, p2p.Config{})
			crowd := started(t, p2p.Config{Peers: []string{seed.Addrs()[0]}})
			seed.awaitUp(t, crowd)
			cfg := p2p.Config{Peers: []string{seed.Addrs()[0], other.Addrs()[0]}}
			if given {
				h, err := libp2p.New(libp2p.ListenAddrStrings(overTCP), libp2p.DisableMetrics(),
					libp2p.ResourceManager(&network.NullResourceManager{}))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = h.Close() }) // the node is closed before it
				cfg.Host = h
			}
			n := started(t, cfg)
			seed.awaitUp(t, n)
			other.awaitUp(t, n)
			<-n.ups
			<-n.ups
			n.Carrier().Avoid(seed.ID())
			seed.Carrier().Avoid(n.ID())
			seed.Carrier().Release(n.ID())
			seed.awaitDown(t, n)
			n.awaitDown(t, seed)
			select {
			case l := <-n.ups:
				t.Fatalf("linked again with %v at once", l.Peer)
			case <-time.After(time.Second): // without Avoid it takes a tenth of that
			}
			if troubles := n.Troubles(); len(troubles) != 0 {
				t.Errorf("it is reported as trouble: %+v", troubles)
			}
			if err := other.Close(); err != nil {
				t.Fatal(err)
			}
			n.awaitDown(t, other)
			n.awaitUp(t, seed) // better one that is full than none
		})
	}
}
