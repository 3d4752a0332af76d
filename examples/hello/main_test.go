package main

import "testing"

func TestHello(*testing.T) { main() }
