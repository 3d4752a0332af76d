package groupkey

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// TestOneRootBeatsAllOthers shows that the order of meetings does not matter.
func TestOneRootBeatsAllOthers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.Custom(func(t *rapid.T) record {
			r := record{
				generation: rapid.Uint64Range(0, 2).Draw(t, "generation"),
				created:    rapid.Int64Range(-1, 1).Draw(t, "created"),
			}
			r.root[0] = rapid.Byte().Draw(t, "root")
			return r
		})
		rs := rapid.SliceOfN(draw, 2, 6).Draw(t, "records")
		best := rs[0]
		for _, r := range rs[1:] {
			best = better(best, r)
		}
		slices.Reverse(rs)
		other := rs[0]
		for _, r := range rs[1:] {
			other = better(r, other)
		}
		if best != other {
			t.Fatalf("%v or %v, as they come", best, other)
		}
		for _, r := range rs {
			if r.beats(best) || r != best && !best.beats(r) {
				t.Fatalf("%v does not beat %v", best, r)
			}
		}
	})
}

func TestGenerationThenAgeDecides(t *testing.T) {
	base := record{generation: 1, created: 100, root: datagram.Root{1}}
	for name, r := range map[string]record{
		"a later generation": {generation: 2, created: 900, root: datagram.Root{9}},
		"an earlier making":  {generation: 1, created: 99, root: datagram.Root{9}},
	} {
		if !r.beats(base) || base.beats(r) {
			t.Errorf("%s does not win", name)
		}
	}
}

func TestRecordsAreChecked(t *testing.T) {
	r := newRecord(3, time.Now())
	got, err := parseRecord(r.append(nil))
	if err != nil || got != r {
		t.Errorf("%v, %v; want %v", got, err, r)
	}
	for name, b := range map[string][]byte{
		"short":                      r.append(nil)[1:],
		"a generation without above": record{generation: generationMax + 1, root: r.root}.append(nil),
		"no root":                    record{}.append(nil),
	} {
		if _, err := parseRecord(b); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoPeerGivesOutARootThatLasts has a peer show the best root that it may,
// before it is locked out.
func TestNoPeerGivesOutARootThatLasts(t *testing.T) {
	now := time.Now()
	network, limit := tagOf("n"), uint64(now.UnixMilli())+generationAhead
	for name, generation := range map[string]uint64{"greatest": generationMax, "above": limit + 1e6} {
		r := record{generation: generation, created: -1 << 63, root: datagram.Root{6}}
		if got, err := ask(&pipe{append(r.append([]byte{0}), 0)}, network, record{}); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: asked, took %v, %v", name, got, err)
		}
		hello := append([]byte{version}, network[:]...)
		if got, err := answer(&pipe{append(hello, r.append(nil)...)}, network, record{}); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: answered, took %v, %v", name, got, err)
		}
	}
	r := record{generation: limit, created: -1 << 63, root: datagram.Root{6}}
	g := ring{offer: newRecord(0, now)}
	g.known(r, now)
	g.renew(now)
	if !g.offer.beats(r) || !g.offer.inReach(now.Add(time.Second)) {
		t.Errorf("%v does not lock out who gave %v", g.offer, r)
	}
}

// pipe is a stream whose other end has said all it says.
type pipe struct{ in []byte }

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, errors.New("end")
	}
	n := copy(b, p.in)
	p.in = p.in[n:]
	return n, nil
}

func (p *pipe) Write(b []byte) (int, error) { return len(b), nil }

// FuzzTalk shows that whatever a peer says, a node keeps a root that is not worse than its own.
func FuzzTalk(f *testing.F) {
	network := tagOf("n")
	ours := record{generation: 1, created: 5, root: datagram.Root{1}}
	theirs := record{generation: 2, created: 5, root: datagram.Root{2}}
	f.Add(append(append([]byte{version}, network[:]...), theirs.append(nil)...))
	f.Add(append(theirs.append([]byte{byte(verdictAgreed)}), byte(verdictAgreed)))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, talk := range []func() (record, error){
			func() (record, error) { return ask(&pipe{b}, network, ours) },
			func() (record, error) { return answer(&pipe{b}, network, ours) },
		} {
			got, err := talk()
			if err == nil && ours.beats(got) {
				t.Errorf("%v was kept instead of %v", got, ours)
			}
		}
	})
}
