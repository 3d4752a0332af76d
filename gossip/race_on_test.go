//go:build race

package gossip

// RaceEnabled is for the tests of gossip_test, too.
const RaceEnabled = true
