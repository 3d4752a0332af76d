// Sensors runs twenty sensors and a reader on one local network. No address is
// configured anywhere, and none is dialled: the nodes have the network's name and key,
// hear each other's beacons, and each reading goes out once, for all who listen.
//
//	go run ./examples/sensors
//
// runs all of them in this process. On several machines of one network:
//
//	go run ./cmd/busnode keygen sensors.key        # and copy it to all
//	go run ./examples/sensors -psk sensors.key -run reader
//	go run ./examples/sensors -psk sensors.key -run sensors
//
// With -streams the nodes also connect to each other, at the addresses that their
// beacons and mDNS tell, as they would by default.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/busnode/busnode/bus"
)

// Reading is what a sensor publishes.
type Reading struct {
	Celsius float64 `json:"celsius"`
}

type config struct {
	run      string // "all", "reader" or "sensors"
	sensors  int
	readings int // of each sensor
	every    time.Duration
	psk      string
	streams  bool
}

func main() {
	var c config
	flag.StringVar(&c.run, "run", "all", "all, reader or sensors")
	flag.IntVar(&c.sensors, "sensors", 20, "how many sensors")
	flag.IntVar(&c.readings, "readings", 10, "how many readings each publishes")
	flag.DurationVar(&c.every, "every", 200*time.Millisecond, "time between two readings of a sensor")
	flag.StringVar(&c.psk, "psk", "", "file with the network's key; none: a new key, for this process alone")
	flag.BoolVar(&c.streams, "streams", false, "also connect the nodes by streams")
	flag.Parse()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, c, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		cancel()
		os.Exit(1)
	}
}

func run(ctx context.Context, c config, out io.Writer) error {
	opts, err := options(c)
	if err != nil {
		return err
	}
	var (
		wg    sync.WaitGroup
		errs  = make([]error, c.sensors+1)
		begun = make(chan struct{}) // the reader listens
		read  = make(chan struct{}) // and has read all
	)
	if c.run == "sensors" {
		close(begun)
	} else {
		wg.Go(func() {
			defer close(read)
			errs[c.sensors] = readAll(ctx, c, opts, begun, out)
		})
	}
	if c.run != "reader" {
		<-begun
		for i := range c.sensors {
			wg.Go(func() { errs[i] = sense(ctx, c, opts, fmt.Sprintf("sensors.s%02d", i+1), read) })
		}
	}
	wg.Wait()
	return errors.Join(errs...)
}

// options are the same for all nodes.
func options(c config) ([]bus.Option, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	if c.psk != "" {
		var err error
		if key, err = bus.LoadNetworkKey(c.psk); err != nil {
			return nil, err
		}
	}
	var multicast []bus.MulticastOption
	if !onANetwork() {
		multicast = append(multicast, bus.MulticastInterfaces("lo*")) // a machine by itself talks to itself
	}
	opts := []bus.Option{
		bus.WithNetwork("sensors"), bus.WithNetworkKey(key),
		bus.WithMulticast(bus.MulticastAlways, multicast...),
		bus.WithLogger(slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))),
	}
	if !c.streams {
		opts = append(opts, bus.WithoutMDNS()) // then no node tells its address, nor takes one
	}
	return opts, nil
}

// onANetwork reports whether there is an interface that leads out of this machine.
func onANetwork() bool {
	interfaces, err := net.Interfaces()
	if err != nil {
		return false
	}
	const useful = net.FlagUp | net.FlagRunning | net.FlagMulticast
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err == nil && len(addrs) > 0 && i.Flags&(useful|net.FlagLoopback|net.FlagPointToPoint) == useful {
			return true
		}
	}
	return false
}

// sense is a sensor: it publishes, and stays until all was read, or, on another
// machine than the reader, until somebody holds it.
func sense(ctx context.Context, c config, opts []bus.Option, topic string, read <-chan struct{}) error {
	b, err := bus.Open(ctx, opts...)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }() // nothing of it is kept
	readings, err := bus.TopicOf(b, topic, bus.JSON[Reading]{})
	if err != nil {
		return err
	}
	var id bus.EventID
	for i := range c.readings {
		if id, err = readings.Publish(ctx, Reading{Celsius: 20 + float64(i)/10}); err != nil {
			return err
		}
		select {
		case <-time.After(c.every):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if c.run == "sensors" {
		return b.WaitHeld(ctx, id, 1)
	}
	select {
	case <-read:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// readAll is the reader: it prints what it got of whom, and how it came.
func readAll(ctx context.Context, c config, opts []bus.Option, begun chan<- struct{}, out io.Writer) error {
	b, err := bus.Open(ctx, opts...)
	if err != nil {
		close(begun)
		return err
	}
	defer func() { _ = b.Close() }() // nothing of it is kept
	sub, err := bus.SubscribeFilter(ctx, b, "sensors.*", bus.JSON[Reading]{}, bus.FromStart())
	close(begun)
	if err != nil {
		return err
	}
	start := time.Now()
	got := map[string]int{}
	total, late := 0, time.Duration(0)
	for ev, err := range sub.Events(ctx) {
		if err != nil {
			return fmt.Errorf("after %d readings of %d sensors: %w; busnode doctor may know why", total, len(got), err)
		}
		total++
		got[ev.Topic]++
		late += time.Since(ev.Time)
		if total == c.sensors*c.readings {
			break
		}
	}
	fmt.Fprintf(out, "%d readings of %d sensors in %.1f s, each %d ms old on average; no address was configured\n",
		total, len(got), time.Since(start).Seconds(), late.Milliseconds()/int64(max(total, 1)))
	m := b.Multicast()
	for _, s := range m.Segments {
		fmt.Fprintf(out, "multicast on %s: %d nodes heard, %d datagrams received, %d sent\n",
			s.Interface, s.Members, s.Figures.DatagramsReceived, s.Figures.DatagramsSent)
	}
	if m.Inert != bus.MulticastWorks {
		fmt.Fprintf(out, "no multicast: %s; the readings came by streams\n", m.Inert)
	}
	if c.run == "reader" {
		defer time.Sleep(3 * time.Second) // sensors elsewhere are to hear that it holds all
	}
	counters := b.Stats().Counters
	fmt.Fprintf(out, "%d batches came by multicast, of %d in all\n",
		counters["gossip_segment_accepted"], counters["gossip_accepted"])
	return nil
}
