// Package p2p is a node's place on the network: a libp2p host of its own or
// its program's, the carrier that runs over it (p2p/streams), and the finding
// and keeping of peers (p2p/discovery). It moves frames and knows no rumor.
//
// On a host of its own it listens on TCP and QUIC, limits what strangers may
// take, and closes connections that are dead or of no use. To a program's host
// it adds two stream handlers, and mDNS unless that is off, takes them away
// again at Close, and leaves everything else alone.
//
// The package may change until the first release.
package p2p
