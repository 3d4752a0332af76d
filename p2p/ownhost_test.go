package p2p

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

func TestThoseWhoComeLeaveRoomForDials(t *testing.T) {
	limits, err := newResourceManager(8)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = limits.Close() }()
	addr := func(i int) ma.Multiaddr { return ma.StringCast(fmt.Sprintf("/ip4/10.0.%d.1/tcp/1", i)) }
	came := 0
	for ; came < 100; came++ {
		if _, err := limits.OpenConnection(network.DirInbound, true, addr(came)); err != nil {
			break
		}
	}
	if came != 12 {
		t.Errorf("%d inbound connections, want 12", came)
	}
	if _, err := limits.OpenConnection(network.DirOutbound, true, addr(200)); err != nil {
		t.Errorf("after %d inbound connections there is no room for a dial: %v", came, err)
	}
}

func TestAddressInUseIsAnError(t *testing.T) {
	for _, listen := range []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"} {
		quiet := slog.New(slog.DiscardHandler)
		first, err := New(Config{Listen: []string{listen}, NoMDNS: true, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		taken := listening(first.host)[0].String()
		second, err := New(Config{
			Listen: []string{taken, "/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}, NoMDNS: true, Logger: quiet,
		})
		if !errors.Is(err, ErrListen) {
			t.Errorf("%s is in use: %v, want ErrListen", taken, err)
		}
		if err == nil {
			_ = second.Close()
		}
		_ = first.Close()
	}
}
