package bustest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestIdentitiesAreTheSameInEveryRun(t *testing.T) {
	a, b := bustest.New(t, 2), bustest.New(t, 2)
	for i := range 2 {
		if a.Bus(i).ID() != b.Bus(i).ID() {
			t.Errorf("node %d is %s and %s", i, a.Bus(i).ID(), b.Bus(i).ID())
		}
	}
	if a.Bus(0).ID() == a.Bus(1).ID() || a.Len() != 2 {
		t.Errorf("%d nodes, both %s", a.Len(), a.Bus(0).ID())
	}
}

func TestDisconnectAndConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := bustest.New(t, 2)
		net.Disconnect(0, 1)
		topic := bustest.Topic(t, net.Bus(0), "t", bus.Text{})
		sub := bustest.Subscribe(t, bustest.Topic(t, net.Bus(1), "t", bus.Text{}), bus.FromNow())
		bustest.Publish(t, topic, "a")
		bustest.Quiet(t, sub, time.Minute)
		net.Connect(0, 1)
		if got := bustest.Values(bustest.Collect(t, sub, 1))[0]; got != "a" {
			t.Errorf("got %q", got)
		}
	})
}

func TestDelayAndBandwidth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := bustest.New(t, 2)
		topic := bustest.Topic(t, net.Bus(0), "t", bus.Bytes{})
		sub := bustest.Subscribe(t, bustest.Topic(t, net.Bus(1), "t", bus.Bytes{}), bus.FromNow())
		time.Sleep(time.Second) // until both know what the other wants
		took := func(payload int) time.Duration {
			start := time.Now()
			bustest.Publish(t, topic, make([]byte, payload))
			bustest.Collect(t, sub, 1)
			return time.Since(start)
		}
		net.Delay(time.Second, time.Second)
		if d := took(1); d < time.Second || d > 2*time.Second {
			t.Errorf("with a delay of 1s it took %v", d)
		}
		net.Delay(0, 0)
		net.Bandwidth(1 << 20)
		if d := took(3 << 20); d < 3*time.Second || d > 4*time.Second {
			t.Errorf("3 MiB at 1 MiB/s took %v", d)
		}
	})
}

// A node without a data directory comes back with its identity and an empty
// log, which its peers fill.
func TestRestartWithoutADirectory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := bustest.New(t, 2)
		bustest.Subscribe(t, bustest.Topic(t, net.Bus(1), "t", bus.Text{}), bus.FromNow())
		id := bustest.Publish(t, bustest.Topic(t, net.Bus(0), "t", bus.Text{}), "before")[0]
		if err := net.Bus(0).WaitHeld(t.Context(), id, 1); err != nil {
			t.Fatal(err)
		}
		if err := net.Restart(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		topic := bustest.Topic(t, net.Bus(0), "t", bus.Text{})
		sub := bustest.Subscribe(t, topic, bus.FromStart())
		if ev := bustest.Collect(t, sub, 1)[0]; ev.ID != id {
			t.Errorf("got %v, want %v", ev.ID, id)
		}
		after := bustest.Publish(t, topic, "after")[0]
		if after.Author != id.Author || after.Epoch <= id.Epoch || after.Seq != 1 {
			t.Errorf("the ID after the restart is %v, before it was %v", after, id)
		}
	})
}

func TestRestartOnADirectory(t *testing.T) {
	net := bustest.New(t, 1)
	i, err := net.Add(t.Context(), bus.WithDataDir(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	id := bustest.Publish(t, bustest.Topic(t, net.Bus(i), "t", bus.Text{}), "kept")[0]
	if err := net.Stop(i); err != nil {
		t.Fatal(err)
	}
	if err := net.Bus(i).Flush(t.Context()); !errors.Is(err, bus.ErrClosed) {
		t.Errorf("after Stop: %v", err)
	}
	if err := net.Restart(t.Context(), i); err != nil {
		t.Fatal(err)
	}
	sub := bustest.Subscribe(t, bustest.Topic(t, net.Bus(i), "t", bus.Text{}), bus.FromStart())
	if ev := bustest.Collect(t, sub, 1)[0]; ev.ID != id {
		t.Errorf("got %v, want %v", ev.ID, id)
	}
}

func TestStartReportsWhatIsWrong(t *testing.T) {
	_, err := bustest.Start(context.Background(), 2, bus.WithEventLog(bus.LogConfig{EventMaxBytes: -1}))
	if !errors.Is(err, bus.ErrConfig) {
		t.Errorf("got %v", err)
	}
}
