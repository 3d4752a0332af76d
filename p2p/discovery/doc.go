// Package discovery finds peers and keeps connections to them: static peers,
// those of the last run, those that mDNS finds on the local network, and those
// that came by themselves. libp2p never reconnects by itself; this does, with
// jitter, for as long as a peer is worth it.
//
// One goroutine owns the schedule of dials; everything else tells it what has
// changed. It knows connections and links, not what they carry.
//
// The package may change until the first release.
package discovery
