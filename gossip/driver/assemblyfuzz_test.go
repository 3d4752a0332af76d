package driver

import (
	"bytes"
	"testing"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// FuzzAssembler lets three peers send true and false parts of three batches in
// any order, cut off as it comes. One of them never lies. What comes out whole
// is a batch, or what no one of the peers alone can be blamed for; an honest
// peer is never blamed; room and counts add up; and at the end an honest peer
// that sends all brings each batch through.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte{0, 0, 10, 1, 4, 10, 2, 20, 255, 0x80, 0, 9, 0x10, 9, 200})
	f.Add([]byte{0x05, 0, 255, 0x25, 3, 200, 0x45, 7, 100, 0xc0, 0, 0, 0x81, 0, 5})
	f.Add([]byte("B\x000c00")) // asked to go on with what the core was not told of
	f.Add(bytes.Repeat([]byte{0x0d, 1, 90, 0x4e, 2, 30, 0xc1, 0, 1}, 40))
	batches := []*wire.Batch{sealNoise(f, 1, 10), sealNoise(f, 2, 900), sealNoise(f, 3, 5000)}
	f.Fuzz(func(t *testing.T, script []byte) {
		a := newAssembler(time.Hour, assembliesMaxBytes)
		run := &assemblerRun{t: t, a: a}
		for ; len(script) >= 3; script = script[3:] {
			run.step(batches[int(script[0])%len(batches)], script[0], int(script[1]), int(script[2]))
			run.check()
		}
		for _, b := range batches {
			run.finish(b)
		}
	})
}

// assemblerRun is one run of the fuzz test.
type assemblerRun struct {
	t    *testing.T
	a    *assembler
	told map[wire.BatchID]int // how much the core believes to be kept
}

const honest = wire.PeerID("honest")

// step sends one part, as the flags say.
func (r *assemblerRun) step(b *wire.Batch, flags byte, at, n int) {
	peer := []wire.PeerID{honest, "liar", "other liar"}[int(flags>>2)%3]
	at = at * b.Size() / 256
	if x := r.a.all[assemblyKey{id: b.ID}]; x != nil && flags&0x10 != 0 {
		at = min(len(x.buf), b.Size()-1) // where it goes on
	}
	p := stretch(b, at, at+1+n*b.Size()/256)
	if peer != honest && flags&0x20 != 0 {
		p = forge(p)
	}
	if peer != honest && flags&0x40 != 0 && p.Size < wire.BatchMaxBytes {
		p.Size++
	}
	if flags&0x80 != 0 {
		r.a.cutOff(peer)
	}
	if at&3 == 3 {
		grant(r.a, peer, b)
	}
	r.judge(peer, b, r.a.add(peer, p))
}

// judge checks what became of a part, and does with it what the driver does.
func (r *assemblerRun) judge(peer wire.PeerID, b *wire.Batch, got progress) (whole bool) {
	r.t.Helper()
	mistake := got.mistake
	if got.raw != nil && !bytes.Equal(got.raw, b.Raw) {
		if !got.mixed {
			mistake = "it is not the batch"
		}
		r.a.spoiled(b.ID)
	}
	if peer == honest && mistake != "" {
		r.t.Fatalf("the honest peer is blamed: %s", mistake)
	}
	return got.raw != nil && bytes.Equal(got.raw, b.Raw)
}

// check checks that what is kept adds up, and what the core was told of it.
func (r *assemblerRun) check() {
	r.t.Helper()
	bytes, shares, apart := 0, map[wire.PeerID]share{}, 0
	for k, x := range r.a.all {
		if k.from != "" {
			apart++
		}
		if k != x.key || len(x.buf) >= x.size || len(x.buf) == 0 || cap(x.buf) > 2*len(x.buf) {
			r.t.Fatalf("assembly of %d bytes, %d taken, of %d", len(x.buf), cap(x.buf), x.size)
		}
		s := shares[x.from]
		shares[x.from] = share{s.bytes + cap(x.buf), s.count + 1}
		bytes += cap(x.buf)
	}
	for peer, s := range r.a.shares {
		if *s != shares[peer] {
			r.t.Fatalf("share of %q is %+v, want %+v", peer, *s, shares[peer])
		}
	}
	for _, n := range r.a.apart {
		apart -= n
	}
	if apart != 0 {
		r.t.Fatalf("%d assemblies of one peer more than are counted", apart)
	}
	if bytes != r.a.bytes || len(shares) != len(r.a.shares) {
		r.t.Fatalf("%d bytes of %d peers, want %d of %d", r.a.bytes, len(r.a.shares), bytes, len(shares))
	}
	if r.told == nil {
		r.told = map[wire.BatchID]int{}
	}
	for _, n := range r.a.take() {
		r.told[n.id] = n.offset
	}
	for id, offset := range r.told {
		x := r.a.all[assemblyKey{id: id}]
		if offset > 0 && (x == nil || len(x.buf) < offset) {
			r.t.Fatalf("the core believes that %d bytes of %v are kept", offset, id)
		}
	}
}

// finish lets the honest peer answer wants for the batch until it is there:
// from where the core believes that it goes on, and again if that failed.
func (r *assemblerRun) finish(b *wire.Batch) {
	for range 3 {
		r.a.cutOff("liar")
		r.a.cutOff("other liar")
		r.check()
		if r.told[b.ID] > 0 {
			grant(r.a, honest, b)
		}
		for _, p := range stretches(b, r.told[b.ID], 300) {
			if r.judge(honest, b, r.a.add(honest, p)) {
				r.a.settled(b.ID)
				r.check()
				return
			}
			r.check()
		}
		r.a.cutOff(honest)
	}
	r.t.Fatalf("an honest peer could not bring %v through", b.ID)
}
