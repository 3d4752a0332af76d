package discovery

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/test"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// libp2p's hosts leave these behind when they close.
		goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/transport/quicreuse.(*reuse).gc"),
		goleak.IgnoreAnyFunction("github.com/quic-go/quic-go.(*Transport).runSendQueue"),
	)
}

func randomPeer(t *testing.T) peer.ID {
	t.Helper()
	return test.RandPeerIDFatal(t)
}

func addrAt(port int) ma.Multiaddr { return ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", port)) }

func TestAddressesOfOnePeerAreJoined(t *testing.T) {
	p, q := randomPeer(t), randomPeer(t)
	infos, err := ParseAddrs(
		fmt.Sprintf("/ip4/127.0.0.1/tcp/1/p2p/%s", p), fmt.Sprintf("/ip4/127.0.0.1/tcp/2/p2p/%s", q),
		fmt.Sprintf("/ip4/127.0.0.1/udp/3/quic-v1/p2p/%s", p), fmt.Sprintf("/ip4/127.0.0.1/tcp/1/p2p/%s", p))
	if err != nil || len(infos) != 2 || infos[0].ID != p || len(infos[0].Addrs) != 2 || infos[1].ID != q {
		t.Errorf("ParseAddrs: %v, %v", infos, err)
	}
}

func TestAddressesWithoutAPeerAreRefused(t *testing.T) {
	for text, word := range map[string]string{
		"/ip4/127.0.0.1/tcp/1":            "/p2p/ID",
		"nonsense":                        "nonsense",
		"/p2p/" + randomPeer(t).String():  "no place",
		"/ip4/127.0.0.1/tcp/1/p2p/broken": "broken",
	} {
		if _, err := ParseAddrs(text); !errors.Is(err, ErrAddress) || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want ErrAddress that says %q", text, err, word)
		}
	}
}

func TestLastGoodPeersComeBackFromTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers")
	var infos []peer.AddrInfo
	for i := range 3 {
		infos = append(infos, peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{addrAt(2*i + 1), addrAt(2*i + 2)}})
	}
	if err := writePeers(path, infos); err != nil {
		t.Fatal(err)
	}
	got, err := readPeers(path)
	if err != nil || len(got) != 3 {
		t.Fatalf("readPeers: %v, %v", got, err)
	}
	for i := range got {
		if got[i].ID != infos[i].ID || !slices.EqualFunc(got[i].Addrs, infos[i].Addrs, ma.Multiaddr.Equal) {
			t.Errorf("peer %d is %v, want %v", i, got[i], infos[i])
		}
	}
	if left, _ := filepath.Glob(path + ".tmp*"); len(left) != 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestBrokenLinesOfTheFileAreLeftOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "peers")
	p := randomPeer(t)
	text := fmt.Sprintf("# a comment\nnonsense\n\n/ip4/127.0.0.1/tcp/1/p2p/%s\n/ip4/127.0.0.1/tcp/2\n", p)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	infos, err := readPeers(path)
	if !errors.Is(err, ErrAddress) || len(infos) != 1 || infos[0].ID != p {
		t.Errorf("readPeers: %v, %v", infos, err)
	}
}

func TestFileIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 2 * filePeersMax {
		fmt.Fprintf(&text, "/ip4/127.0.0.1/tcp/%d/p2p/%s\n", i+1, randomPeer(t))
	}
	infos, err := parsePeers(strings.NewReader(text.String()))
	if err != nil || len(infos) != filePeersMax {
		t.Errorf("%d peers, %v; want %d", len(infos), err, filePeersMax)
	}
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	now := time.Now()
	limits := map[Source]time.Duration{SourceStatic: backoffNear, SourceAsked: backoffNear, SourceSeen: backoffFar}
	for source, limit := range limits {
		e := &entry{source: source}
		for i := range 64 {
			e.failed(now, errors.New("no"))
			d := e.next.Sub(now)
			want := min(backoffMin<<min(i, 16), limit)
			if d < want/2 || d > want {
				t.Errorf("%s: try %d comes after %v, want up to %v", source, i, d, want)
			}
		}
	}
}

func TestPeerLinkedLatelyIsTriedOften(t *testing.T) {
	now := time.Now()
	e := &entry{source: SourceSeen, failures: 20, changed: now.Add(-time.Minute)}
	if e.failed(now, nil); e.next.Sub(now) > backoffNear {
		t.Errorf("the next try comes after %v", e.next.Sub(now))
	}
	if e.failed(now.Add(time.Hour), nil); e.next.Sub(now.Add(time.Hour)) <= backoffNear {
		t.Error("an hour later it is tried as often")
	}
}

func TestBookIsBoundedAndKeepsTheBest(t *testing.T) {
	b := make(book)
	static, linked := randomPeer(t), randomPeer(t)
	b.add(peer.AddrInfo{ID: static}, SourceStatic)
	b.add(peer.AddrInfo{ID: linked}, SourceSeen).linked = true
	for i := range 2 * peersMax {
		b.add(peer.AddrInfo{ID: peer.ID(fmt.Sprint(i)), Addrs: []ma.Multiaddr{addrAt(1)}}, SourceSeen)
	}
	if len(b) != peersMax || b[static] == nil || b[linked] == nil {
		t.Errorf("%d peers; static %v, linked %v", len(b), b[static], b[linked])
	}
	e := b[static]
	for i := range 2 * addrsMax {
		b.add(peer.AddrInfo{ID: static, Addrs: []ma.Multiaddr{addrAt(i + 1)}}, SourceMDNS)
	}
	if len(e.addrs) != addrsMax || e.source != SourceStatic || !e.addrs[0].Equal(addrAt(2*addrsMax)) {
		t.Errorf("%d addresses from %s, the first %v", len(e.addrs), e.source, e.addrs[0])
	}
}

func TestAskedPeerIsDialledAtOnceAmongManyThatAreLost(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0") // connects, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	lost := ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port))
	from, to := newHost(t), newHost(t)
	k := New(Config{Host: from, Logger: slog.New(slog.DiscardHandler), LinksWanted: 64})
	for range 2 * dialsMax {
		k.add(peer.AddrInfo{ID: randomPeer(t), Addrs: []ma.Multiaddr{lost}}, SourceSeen)
	}
	k.Start()
	defer func() { _ = k.Close() }()
	time.Sleep(200 * time.Millisecond) // for the dials of the lost to begin
	began := time.Now()
	if err := k.Ask(peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
		t.Fatal(err)
	}
	for from.Network().Connectedness(to.ID()) != network.Connected {
		if time.Since(began) > 3*time.Second {
			t.Fatal("the asked peer is not dialled while others are")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestNewestAddressesOfAPeerThatComesAreFirst(t *testing.T) {
	k := New(Config{Host: newHost(t), Logger: slog.New(slog.DiscardHandler)})
	defer func() { _ = k.Close() }()
	p := randomPeer(t)
	for port := range 2 * addrsMax { // it comes back at another place each time
		now := addrAt(port + 1)
		k.cfg.Host.Peerstore().ClearAddrs(p)
		k.cfg.Host.Peerstore().AddAddr(p, now, time.Hour)
		k.Up(p, inboundConn{})
		k.Down(p, errors.New("gone"))
		if got := k.Status()[0].Addrs; !got[0].Equal(now) || len(got) > addrsMax {
			t.Fatalf("the peer is at %v, known as %v", now, got)
		}
	}
}

// inboundConn is a connection that the peer opened.
type inboundConn struct{ network.Conn }

func (inboundConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: network.DirInbound}}
}

func newHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestGoodPeersComeLinkedFirst(t *testing.T) {
	b := make(book)
	now := time.Now()
	for i, e := range []entry{
		{id: "never", addrs: []ma.Multiaddr{addrAt(1)}},
		{id: "old", good: true, changed: now.Add(-time.Hour)},
		{id: "new", good: true, changed: now},
		{id: "linked", good: true, linked: true, changed: now.Add(-2 * time.Hour)},
	} {
		e.addrs = []ma.Multiaddr{addrAt(i + 1)}
		b[e.id] = &e
	}
	var got []string
	for _, info := range b.good(2) {
		got = append(got, string(info.ID))
	}
	if want := []string{"linked", "new"}; !slices.Equal(got, want) {
		t.Errorf("good peers %v, want %v", got, want)
	}
}

func FuzzPeersFile(f *testing.F) {
	f.Add("/ip4/127.0.0.1/tcp/1/p2p/12D3KooWSD1DUCXA9CYQ6RWEWvojKSdbttrAyfnrEPnFRbfoTZg3\n# x\n\nnonsense")
	f.Fuzz(func(t *testing.T, text string) {
		infos, _ := parsePeers(strings.NewReader(text)) // what is wrong is left out
		if len(infos) > filePeersMax {
			t.Errorf("%d peers", len(infos))
		}
		for _, info := range infos {
			if info.ID == "" || len(info.Addrs) == 0 || len(info.Addrs) > addrsMax {
				t.Errorf("peer %v", info)
			}
		}
	})
}
