package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"slices"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/bus/bustest"
)

type Order struct {
	ID     int
	Amount string
}

// start returns connected buses in memory. A program calls [bus.Open] instead,
// with addresses of peers or on a network where they find each other.
func start(n int) *bustest.Network {
	net, err := bustest.Start(context.Background(), n)
	if err != nil {
		log.Fatal(err)
	}
	return net
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// One node publishes, another subscribes.
func Example() {
	ctx := context.Background()
	net := start(2)
	defer func() { check(net.Close()) }()

	greetings, err := bus.TopicOf(net.Bus(1), "greetings", bus.Text{})
	check(err)
	events, err := greetings.Events(ctx) // subscribed from here on
	check(err)

	sender, err := bus.TopicOf(net.Bus(0), "greetings", bus.Text{})
	check(err)
	_, err = sender.Publish(ctx, "hello", bus.Header("language", "en"))
	check(err)

	for ev, err := range events {
		check(err)
		language, _ := ev.Header("language")
		fmt.Printf("%s (%s) is event %d of its author\n", ev.Value, language, ev.ID.Seq)
		break
	}
	// Output:
	// hello (en) is event 1 of its author
}

// JSON carries values of a type. What another program published that is no
// such value is an error in the sequence, which goes on.
func ExampleJSON() {
	ctx := context.Background()
	net := start(1)
	defer func() { check(net.Close()) }()

	orders, err := bus.TopicOf(net.Bus(0), "orders.eu", bus.JSON[Order]{})
	check(err)
	anything, err := bus.TopicOf(net.Bus(0), "orders.eu", bus.Text{})
	check(err)
	_, err = orders.Publish(ctx, Order{ID: 7, Amount: "9.50"})
	check(err)
	_, err = anything.Publish(ctx, "not an order")
	check(err)
	_, err = orders.Publish(ctx, Order{ID: 8, Amount: "1.00"})
	check(err)

	sub, err := orders.Subscribe(ctx, bus.FromStart())
	check(err)
	defer sub.Close()
	for range 3 {
		ev, err := sub.Next(ctx)
		if bad, ok := errors.AsType[*bus.DecodeError](err); ok {
			fmt.Printf("skipped %q\n", bad.Event.Payload)
			continue
		}
		check(err)
		fmt.Println(ev.Value.ID, ev.Value.Amount)
	}
	// Output:
	// 7 9.50
	// skipped "not an order"
	// 8 1.00
}

// A durable subscription goes on after the last event that was acknowledged.
func ExampleDurable() {
	ctx := context.Background()
	net := start(1)
	defer func() { check(net.Close()) }()

	jobs, err := bus.TopicOf(net.Bus(0), "jobs", bus.Text{})
	check(err)
	_, err = jobs.PublishAll(ctx, []string{"one", "two", "three"})
	check(err)

	work := func(stopAfter string) {
		sub, err := jobs.Subscribe(ctx, bus.FromStart(), bus.Durable("worker"))
		check(err)
		defer sub.Close()
		for ev, err := range sub.Events(ctx) {
			check(err)
			fmt.Println("done:", ev.Value)
			check(sub.Ack(ctx, ev))
			if ev.Value == stopAfter {
				return
			}
		}
	}
	work("one")
	fmt.Println("-- opened again")
	work("three")
	// Output:
	// done: one
	// -- opened again
	// done: two
	// done: three
}

// Publish returns when this node holds the event; WaitHeld, when others do.
func ExampleBus_WaitHeld() {
	ctx := context.Background()
	net := start(3)
	defer func() { check(net.Close()) }()

	for i := 1; i < 3; i++ {
		alarms, err := bus.TopicOf(net.Bus(i), "alarms", bus.Text{})
		check(err)
		sub, err := alarms.Subscribe(ctx, bus.FromNow())
		check(err)
		defer sub.Close()
	}
	alarms, err := bus.TopicOf(net.Bus(0), "alarms", bus.Text{})
	check(err)
	id, err := alarms.Publish(ctx, "fire")
	check(err)
	check(net.Bus(0).WaitHeld(ctx, id, 2))
	fmt.Println("two other nodes hold event", id.Seq)
	// Output:
	// two other nodes hold event 1
}

// A filter takes in all topics that match it, also those that come later.
func ExampleSubscribeFilter() {
	ctx := context.Background()
	net := start(2)
	defer func() { check(net.Close()) }()

	sub, err := bus.SubscribeFilter(ctx, net.Bus(1), "sensor.*.temperature", bus.Text{}, bus.FromNow())
	check(err)
	defer sub.Close()
	for _, name := range []string{"sensor.1.temperature", "sensor.1.humidity", "sensor.2.temperature"} {
		topic, err := bus.TopicOf(net.Bus(0), name, bus.Text{})
		check(err)
		_, err = topic.Publish(ctx, "21")
		check(err)
	}
	var topics []string
	for range 2 {
		ev, err := sub.Next(ctx)
		check(err)
		topics = append(topics, ev.Topic)
	}
	slices.Sort(topics) // nothing is promised about the order between topics
	fmt.Println(topics)
	// Output:
	// [sensor.1.temperature sensor.2.temperature]
}

// A node that joins late gets the history from any node that holds it.
func ExampleFromStart() {
	ctx := context.Background()
	net := start(2)
	defer func() { check(net.Close()) }()

	holder, err := bus.TopicOf(net.Bus(1), "chat", bus.Text{})
	check(err)
	sub, err := holder.Subscribe(ctx, bus.FromNow())
	check(err)
	defer sub.Close()
	chat, err := bus.TopicOf(net.Bus(0), "chat", bus.Text{})
	check(err)
	ids, err := chat.PublishAll(ctx, []string{"anybody here?", "I am leaving", "bye"})
	check(err)
	check(net.Bus(0).WaitHeld(ctx, ids[2], 1))
	check(net.Stop(0)) // the author is gone

	late, err := net.Add(ctx)
	check(err)
	chat, err = bus.TopicOf(net.Bus(late), "chat", bus.Text{})
	check(err)
	history, err := chat.Events(ctx, bus.FromStart())
	check(err)
	for ev, err := range history {
		check(err)
		fmt.Println(ev.Value)
		if ev.Value == "bye" {
			break
		}
	}
	// Output:
	// anybody here?
	// I am leaving
	// bye
}

// Watch tells who is there: first all that are, then who comes and goes.
func ExampleBus_Watch() {
	ctx := context.Background()
	net := start(2)
	defer func() { check(net.Close()) }()

	for _, b := range net.Buses() {
		topic, err := bus.TopicOf(b, "room", bus.Text{})
		check(err)
		sub, err := topic.Subscribe(ctx, bus.FromNow())
		check(err)
		defer sub.Close()
	}
	for p, err := range net.Bus(0).Watch(ctx) {
		check(err)
		fmt.Println(p.Topic, "up:", p.Up, "the other node:", p.Peer == net.Bus(1).ID())
		if !p.Up {
			break
		}
		check(net.Stop(1))
	}
	// Output:
	// room up: true the other node: true
	// room up: false the other node: true
}

// PublishAsync waits for no disk; Flush waits for all that came before.
func ExampleTopic_PublishAsync() {
	ctx := context.Background()
	net := start(1)
	defer func() { check(net.Close()) }()

	ticks, err := bus.TopicOf(net.Bus(0), "ticks", bus.Bytes{})
	check(err)
	for i := range 1000 {
		_, err := ticks.PublishAsync(ctx, []byte{byte(i)})
		check(err)
	}
	check(net.Bus(0).Flush(ctx))
	fmt.Println(net.Bus(0).Topics()[0].Events, "events are in the log")
	// Output:
	// 1000 events are in the log
}
