package discovery

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"
)

const mdnsRetry = 30 * time.Second

// runMDNS announces the host on the local network and takes in whom it finds.
// The announcement holds the addresses of its time, so a change begins a new one.
func (k *Keeper) runMDNS() {
	failed := false
	for {
		service := mdns.NewMdnsService(k.cfg.Host, k.cfg.MDNS, k)
		err := service.Start()
		if err != nil && !failed {
			k.log.Warn("no discovery on the local network", "err", err)
		}
		failed = err != nil
		var retry <-chan time.Time
		if failed {
			retry = time.After(mdnsRetry)
		}
		select {
		case <-k.moved:
		case <-retry:
		case <-k.ctx.Done():
		}
		_ = service.Close() // it has no error to report
		if k.ctx.Err() != nil {
			return
		}
	}
}

// HandlePeerFound implements [mdns.Notifee].
func (k *Keeper) HandlePeerFound(info peer.AddrInfo) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known := k.book[info.ID]
	fresh := known == nil || !known.linked && known.failures > 0
	e := k.add(info, SourceMDNS)
	if e == nil || e.linked || !fresh {
		return
	}
	k.hurry(e)
	if known == nil && k.cfg.Host.ID() > info.ID {
		e.next = e.next.Add(mdnsPause)
	}
}
