package discovery

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	peersMax = 1024 // known at once
	addrsMax = 16   // of one peer

	backoffMin  = 200 * time.Millisecond
	backoffNear = 2 * time.Second  // for named peers and those that were linked lately
	backoffFar  = time.Minute      // for others
	lately      = 10 * time.Minute // after the end of the last link
	linkFair    = 2 * time.Second  // a link that ended sooner counts as a failure

	avoidNamed = 5 * time.Minute // named peers that have too many connections, or of which this node has
	avoidFar   = time.Hour       // others
)

// Source says how a peer became known.
type Source string

// The sources, from the weakest.
const (
	SourceSeen   Source = "seen"   // it came by itself
	SourceFile   Source = "file"   // it was good in the last run
	SourceMDNS   Source = "mdns"   // it is on the local network
	SourceAsked  Source = "asked"  // a caller of Connect named it
	SourceStatic Source = "static" // the configuration names it
)

var strength = map[Source]int{SourceSeen: 0, SourceFile: 1, SourceMDNS: 2, SourceAsked: 3, SourceStatic: 4}

// entry is a known peer.
type entry struct {
	id       peer.ID
	addrs    []ma.Multiaddr // best first
	source   Source
	linked   bool
	dialling bool
	good     bool // was linked in this run or the last one
	failures int  // since the last link
	next     time.Time
	avoid    time.Time // until then not dialled while there is another link
	changed  time.Time // of linked; zero: never linked
	err      error     // why the newest try failed
	warned   bool
}

// named reports whether the configuration or a caller names the peer.
func (e *entry) named() bool { return e.source == SourceStatic || e.source == SourceAsked }

// near reports whether the peer is worth frequent tries.
func (e *entry) near(now time.Time) bool {
	return e.named() || !e.changed.IsZero() && now.Sub(e.changed) < lately
}

// failed sets the time of the next try after one more failure.
func (e *entry) failed(now time.Time, err error) {
	limit := backoffFar
	if e.near(now) {
		limit = backoffNear
	}
	d := min(backoffMin<<min(e.failures, 16), limit)
	e.failures++
	e.err = err
	e.next = now.Add(d/2 + rand.N(d/2))
}

// book is the set of known peers.
type book map[peer.ID]*entry

// add returns the peer's entry, with the addresses and source merged into it.
// If it is new and the book is full, another one is forgotten; nil if none can be.
func (b book) add(info peer.AddrInfo, source Source) *entry {
	e := b[info.ID]
	if e == nil {
		if len(b) >= peersMax && !b.evict() {
			return nil
		}
		e = &entry{id: info.ID, source: source}
		b[info.ID] = e
	}
	if strength[source] > strength[e.source] {
		e.source = source
	}
	if source == SourceStatic || source == SourceAsked || source == SourceMDNS {
		e.addrs = mergeAddrs(info.Addrs[:min(len(info.Addrs), addrsMax)], e.addrs)
	} else {
		e.addrs = mergeAddrs(e.addrs, info.Addrs)
	}
	return e
}

// evict forgets the weakest peer that is not linked, not being dialled and not static.
func (b book) evict() bool {
	var worst *entry
	for _, e := range b {
		if e.linked || e.dialling || e.source == SourceStatic {
			continue
		}
		if worst == nil || cmp.Or(cmp.Compare(strength[e.source], strength[worst.source]),
			e.changed.Compare(worst.changed), cmp.Compare(e.id, worst.id)) < 0 {
			worst = e
		}
	}
	if worst == nil {
		return false
	}
	delete(b, worst.id)
	return true
}

// good returns the peers worth remembering, the best first: those that are
// linked, then those that were, the latest first.
func (b book) good(limit int) []peer.AddrInfo {
	var entries []*entry
	for _, e := range b {
		if e.good && len(e.addrs) > 0 {
			entries = append(entries, e)
		}
	}
	slices.SortFunc(entries, func(x, y *entry) int {
		if x.linked != y.linked {
			if x.linked {
				return -1
			}
			return 1
		}
		return cmp.Or(y.changed.Compare(x.changed), cmp.Compare(x.id, y.id))
	})
	infos := make([]peer.AddrInfo, 0, limit)
	for _, e := range entries[:min(len(entries), limit)] {
		infos = append(infos, peer.AddrInfo{ID: e.id, Addrs: e.addrs})
	}
	return infos
}
