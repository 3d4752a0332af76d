package datagram

// windowBits is how far back a datagram may come and still be told from a replay.
const windowBits = 4096

// FarMax is how far ahead of the newest datagram's number one may be. At 200,000
// datagrams a second it is 80 s of them.
const FarMax = 1 << 24

// window remembers which numbers of a stream were seen (RFC 6479). It has a word
// more than its bits take, for they begin and end in the middle of one.
type window struct {
	newest uint64
	floor  uint64 // what is not above it is refused
	bits   [windowBits/64 + 1]uint64
}

// check reports why a number is not new. It changes nothing: only what is
// authentic may move the window.
func (w *window) check(seq uint64) error {
	switch {
	case seq <= w.floor || seq+windowBits <= w.newest:
		return RefusedReplay
	case seq > w.newest+FarMax:
		return RefusedFar
	case seq <= w.newest && w.bits[seq/64%uint64(len(w.bits))]&(1<<(seq%64)) != 0:
		return RefusedReplay
	}
	return nil
}

// add marks a number that check let pass.
func (w *window) add(seq uint64) {
	words := uint64(len(w.bits))
	if seq > w.newest {
		if seq-w.newest >= windowBits {
			clear(w.bits[:])
		} else {
			for i := w.newest/64 + 1; i <= seq/64; i++ {
				w.bits[i%words] = 0
			}
		}
		w.newest = seq
	}
	w.bits[seq/64%words] |= 1 << (seq % 64)
}
