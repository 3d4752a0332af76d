// Bring-your-own-host puts the bus on a libp2p host that the program made and
// uses for other things too: here, a protocol of its own. The bus adds its
// protocols to the host and never closes it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/busnode/busnode/bus"
)

const greeting = "/example/greeting/1"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	a, err := newHost()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	b, err := newHost()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()

	if err := exchange(ctx, a, b); err != nil {
		return err
	}
	// The buses are closed now; the hosts are the program's, and go on.
	s, err := b.NewStream(ctx, a.ID(), greeting)
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }() // all was read or written
	line, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	fmt.Printf("the program's own protocol, after the bus was closed: %s\n", line)
	return nil
}

// exchange sends one event over buses on the two hosts.
func exchange(ctx context.Context, a, b host.Host) (err error) {
	busA, err := bus.Open(ctx, bus.WithHost(a), bus.WithoutMDNS())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, busA.Close()) }()
	busB, err := bus.Open(ctx, bus.WithHost(b), bus.WithoutMDNS())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, busB.Close()) }()

	readings, err := bus.TopicOf(busB, "readings", bus.JSON[float64]{})
	if err != nil {
		return err
	}
	events, err := readings.Events(ctx)
	if err != nil {
		return err
	}
	// The program connects its hosts as it likes; the bus notices.
	if err := b.Connect(ctx, peer.AddrInfo{ID: a.ID(), Addrs: a.Addrs()}); err != nil {
		return err
	}
	sensor, err := bus.TopicOf(busA, "readings", bus.JSON[float64]{})
	if err != nil {
		return err
	}
	if _, err := sensor.Publish(ctx, 21.5); err != nil {
		return err
	}
	for ev, err := range events {
		if err != nil {
			return err
		}
		fmt.Printf("%v from %s, who is the host: %v\n", ev.Value, ev.ID.Author, string(ev.ID.Author) == a.ID().String())
		return nil
	}
	return nil
}

// newHost makes a host as any libp2p program does. Its default key is Ed25519,
// which the bus needs for signing.
func newHost() (host.Host, error) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		return nil, err
	}
	h.SetStreamHandler(greeting, func(s network.Stream) {
		_, _ = s.Write([]byte("hello")) // the other side says what it got
		_ = s.Close()
	})
	return h, nil
}
