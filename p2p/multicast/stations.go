package multicast

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/datagram"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

// A switch that forgot its members, for want of a querier, is reminded of them
// when nothing was heard for a while, not too often.
const (
	silenceMax  = 60 * time.Second
	rejoinEvery = 120 * time.Second
)

// keepStations keeps a station on each interface that suits, until the carrier
// closes. While there is no key it waits for one, and asks nothing of the system.
func (c *Carrier) keepStations() {
	for c.ctx.Err() == nil {
		if len(c.saying().roots) > 0 {
			c.followInterfaces()
			continue
		}
		select {
		case <-c.changed:
		case <-c.ctx.Done():
		}
	}
}

// followInterfaces keeps stations while there is a key.
func (c *Carrier) followInterfaces() {
	ctx, cancel := context.WithCancel(c.ctx)
	changes := c.machine.watch(ctx)
	reason := errNoKey
	for len(c.saying().roots) > 0 {
		c.rescan()
		select {
		case <-changes: // closed only once ctx is done
		case <-c.changed:
		case <-c.ctx.Done():
		}
		if c.ctx.Err() != nil {
			reason = carrier.ErrClosed
			break
		}
	}
	for _, s := range c.list() {
		c.remove(s, reason)
	}
	c.mu.Lock()
	c.scanErr = nil
	c.mu.Unlock()
	cancel()
	for range changes { // the watch ends before this returns
	}
}

func (c *Carrier) list() []*station {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return slices.Clone(c.stations)
}

// rescan opens and closes stations as the interfaces are now.
func (c *Carrier) rescan() {
	all, err := c.machine.interfaces()
	c.mu.Lock()
	failed := err != nil && c.scanErr == nil
	c.scanErr = err
	c.mu.Unlock()
	if err != nil {
		if failed {
			c.log.Warn("interfaces cannot be listed", "err", err)
		}
		return
	}
	chosen := socket.Select(all, c.cfg.Interfaces)
	for _, s := range c.list() {
		switch stays := slices.ContainsFunc(chosen, s.isOn); {
		case s.renew.Load():
			c.remove(s, errSibling)
		case !stays:
			c.remove(s, errGone)
		}
	}
	for _, i := range chosen {
		if s := c.station(i.Index); s != nil {
			s.update(i)
			continue
		}
		c.add(i)
	}
}

func (c *Carrier) station(index int) *station {
	for _, s := range c.list() {
		if s.index == index {
			return s
		}
	}
	return nil
}

// byStream returns the station of a stream, or nil.
func (c *Carrier) byStream(id datagram.StreamID) *station {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, s := range c.stations {
		if s.stream == id {
			return s
		}
	}
	return nil
}

// add opens a station. If that fails the next look at the interfaces tries again.
func (c *Carrier) add(i socket.Interface) {
	s, err := openStation(c, i)
	if err != nil {
		c.log.Debug("interface cannot be used", "interface", i.Name, "err", err)
		return
	}
	s.listenFirst(c.list())
	s.deliver = newDelivery(c.handler, s.name)
	c.mu.Lock()
	at, _ := slices.BinarySearchFunc(c.stations, s, func(a, b *station) int {
		return cmp.Or(a.haste()-b.haste(), a.index-b.index)
	})
	c.stations = slices.Insert(c.stations, at, s)
	c.mu.Unlock()
	s.start()
}

// remove closes a station: its members and its link are down when it returns.
func (c *Carrier) remove(s *station, reason error) {
	c.mu.Lock()
	c.stations = slices.DeleteFunc(c.stations, func(o *station) bool { return o == s })
	others := slices.Clone(c.stations)
	c.leaving = s
	c.mu.Unlock()
	s.close(reason)
	c.mu.Lock()
	c.leaving = nil
	gone := s.status()
	c.gone.add(&gone.Counters)
	c.mu.Unlock()
	for _, o := range others {
		signal(o.wake) // one that was passive because of it may speak again
	}
	c.log.Info("segment down", "segment", string(s.name), "err", reason)
}

func cmpPeer(a, b wire.PeerID) int { return strings.Compare(string(a), string(b)) }
