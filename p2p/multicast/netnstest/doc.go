// Package netnstest makes hosts for tests: network namespaces on one or several
// switches, without any route out of them. It needs Linux, root, and the commands
// ip and, for loss, nft; elsewhere tests that ask for a lab are skipped, with the reason.
package netnstest
