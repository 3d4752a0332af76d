package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/busnode/busnode/bus"
)

// Node is what a server tells of its node beside what the bus knows.
type Node struct {
	Network string
	Version string
	Logger  *slog.Logger
}

// Server answers the requests of commands. It does not own the bus.
type Server struct {
	bus     *bus.Bus
	node    Node
	started time.Time
	http    *http.Server
	stop    context.CancelFunc // ends the streams

	mu      sync.Mutex // guards the fields below
	streams map[string]*stream
	next    uint64
}

// NewServer returns a server for b. Serve starts it.
func NewServer(b *bus.Bus, node Node) *Server {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{bus: b, node: node, started: time.Now(), stop: cancel, streams: map[string]*stream{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/peers", s.peers)
	mux.HandleFunc("GET /v1/topics", s.topics)
	mux.HandleFunc("POST /v1/publish", s.publish)
	mux.HandleFunc("GET /v1/held", s.held)
	mux.HandleFunc("GET /v1/subscribe", s.subscribe)
	mux.HandleFunc("DELETE /v1/subscribe", s.unsubscribe)
	mux.HandleFunc("POST /v1/ack", s.ack)
	mux.HandleFunc("GET /v1/durables", s.durables)
	mux.HandleFunc("DELETE /v1/durables", s.forget)
	mux.HandleFunc("PUT /v1/blocked", s.block)
	s.http = &http.Server{
		Handler:           mux,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: 10 * time.Second,
		// What the HTTP package has to say concerns single connections, most of them closed by their client.
		ErrorLog: slog.NewLogLogger(node.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers what comes in on l until Close. It closes l.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("api: %w", err)
	}
	return nil
}

// Close ends all streams, waits for requests until ctx is done, and then ends
// those that are left.
func (s *Server) Close(ctx context.Context) error {
	s.stop()
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

func (s *Server) status(w http.ResponseWriter, _ *http.Request) {
	stats := s.bus.Stats()
	writeJSON(w, Status{
		ID:       string(s.bus.ID()),
		Network:  s.node.Network,
		Addrs:    list(s.bus.Addrs()),
		Version:  s.node.Version,
		UptimeS:  seconds(time.Since(s.started)),
		Topics:   len(s.bus.Topics()),
		Peers:    len(s.bus.Peers()),
		Log:      LogStatus{Events: stats.Log.Events, Bytes: stats.Log.Bytes, Durable: stats.Log.Durable},
		Counters: stats.Counters,

		Multicast: multicastOf(s.bus.Multicast()),
	})
}

func (s *Server) peers(w http.ResponseWriter, _ *http.Request) {
	peers := []Peer{}
	for _, p := range s.bus.Peers() {
		peer := Peer{
			ID: string(p.ID), Addrs: list(p.Addrs), Path: p.Path, RTTMs: milliseconds(p.RTT),
			Topics: list(p.Topics), UpS: seconds(time.Since(p.Since)),
		}
		if p.Relay != "" {
			relay := string(p.Relay)
			peer.Relay = &relay
		}
		peers = append(peers, peer)
	}
	writeJSON(w, peers)
}

func (s *Server) topics(w http.ResponseWriter, _ *http.Request) {
	topics := []Topic{}
	for _, t := range s.bus.Topics() {
		topic := Topic{
			Topic: t.Name, Events: t.Events, Bytes: t.Bytes, FirstOffset: t.First,
			Authors: t.Authors, Neighbours: t.Neighbours, Lag: t.Lag,
		}
		if t.Next > t.First {
			topic.LastOffset = &t.Last
		}
		topics = append(topics, topic)
	}
	writeJSON(w, topics)
}

func (s *Server) durables(w http.ResponseWriter, _ *http.Request) {
	durables := []Durable{}
	for _, d := range s.bus.Durables() {
		durables = append(durables, Durable{Name: d.Name, Filter: d.Filter})
	}
	writeJSON(w, durables)
}

func (s *Server) forget(w http.ResponseWriter, r *http.Request) {
	if err := s.bus.ForgetDurable(r.FormValue("name")); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// block cuts the node off from peers. It shows what a bus does when a network
// breaks, and it is how an operator keeps a peer out until the next start.
func (s *Server) block(w http.ResponseWriter, r *http.Request) {
	var blocked Blocked
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&blocked); err != nil {
		writeError(w, errorf(CodeUsage, "list of peers to block: %v", err))
		return
	}
	ids := make([]bus.PeerID, 0, len(blocked.Peers))
	for _, text := range blocked.Peers {
		id, err := bus.ParsePeerID(text)
		if err != nil {
			writeError(w, errorf(CodeUsage, "peer to block: %v", err))
			return
		}
		ids = append(ids, id)
	}
	if err := s.bus.Block(ids...); err != nil {
		writeError(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// An error here is the client's leaving: nobody is there to be told.
	_ = json.NewEncoder(w).Encode(v)
}

// errorReply is an answer, or a last line, that tells of an error.
type errorReply struct {
	Error *Error `json:"error"`
}

func writeError(w http.ResponseWriter, err error) {
	e := AsError(err)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.httpStatus())
	_ = json.NewEncoder(w).Encode(errorReply{e}) // as in writeJSON
}

// list makes an empty list of none, which JSON would call null.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func seconds(d time.Duration) float64 { return d.Round(time.Millisecond).Seconds() }

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}
