package driver

import "github.com/busnode/busnode/gossip/wire"

// grow makes room for n bytes in an assembly, at the expense of older ones of
// the same peer and of who holds the most. The room at most doubles, so that it
// follows what came, not what was claimed. A single assembly always fits.
// a.mu is held.
func (a *assembler) grow(x *assembly, n int) {
	if n <= cap(x.buf) {
		return
	}
	size := min(max(n, 2*cap(x.buf)), x.size)
	more := size - cap(x.buf)
	for a.shares[x.from].bytes+more > a.max/2 && a.evict(x.from, x) {
	}
	for a.bytes+more > a.max && a.evict(a.greediest(x), x) {
	}
	buf := make([]byte, len(x.buf), size)
	copy(buf, x.buf)
	x.buf = buf
	a.charge(x.from, more, 0)
}

// give makes an assembly take from's share. a.mu is held.
func (a *assembler) give(x *assembly, from wire.PeerID) {
	a.charge(x.from, -cap(x.buf), -1)
	x.from = from
	a.charge(from, cap(x.buf), 1)
}

// evict drops the peer's oldest assembly other than keep; false: it has none. a.mu is held.
func (a *assembler) evict(from wire.PeerID, keep *assembly) bool {
	var oldest *assembly
	for _, x := range a.all {
		if x.from == from && x != keep && (oldest == nil || x.order < oldest.order) {
			oldest = x
		}
	}
	if oldest == nil {
		return false
	}
	a.stats.evicted++
	a.remove(oldest)
	return true
}

// greediest returns the peer whose assemblies other than keep take the most.
// a.mu is held.
func (a *assembler) greediest(keep *assembly) (peer wire.PeerID) {
	most := -1
	for id, s := range a.shares {
		bytes, count := s.bytes, s.count
		if id == keep.from {
			bytes, count = bytes-cap(keep.buf), count-1
		}
		// Each counts as its part of the room, so that many small ones go too.
		bytes += count * a.max / assembliesMax
		if count > 0 && (bytes > most || bytes == most && id < peer) {
			most, peer = bytes, id
		}
	}
	return peer
}

// charge changes what the peer's assemblies take. a.mu is held.
func (a *assembler) charge(peer wire.PeerID, bytes, count int) {
	s := a.shares[peer]
	if s == nil {
		s = &share{}
		a.shares[peer] = s
	}
	s.bytes += bytes
	s.count += count
	a.bytes += bytes
	if s.count == 0 {
		delete(a.shares, peer)
	}
}

// enter puts an assembly under its key. a.mu is held.
func (a *assembler) enter(x *assembly) {
	a.all[x.key] = x
	if x.key.from != "" {
		a.apart[x.key.id]++
	}
}

// leave takes an assembly from under its key. a.mu is held.
func (a *assembler) leave(x *assembly) {
	delete(a.all, x.key)
	if x.key.from == "" {
		return
	}
	if a.apart[x.key.id]--; a.apart[x.key.id] == 0 {
		delete(a.apart, x.key.id)
	}
}
