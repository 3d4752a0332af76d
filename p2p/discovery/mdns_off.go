//go:build !mdns

package discovery

// runMDNS does nothing in a build without mDNS.
func (k *Keeper) runMDNS() { k.log.Warn("built without discovery on the local network") }
