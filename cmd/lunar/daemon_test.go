package main

import (
	"os"
	"syscall"
	"testing"
)

// A reload that takes its time keeps no signal waiting, and what is asked for
// meanwhile is done behind it.
func TestAwait_ASlowReloadHoldsUpNoSignal(t *testing.T) {
	signals, failed := make(chan os.Signal), make(chan struct{})
	reloads, goOn, over := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		await(signals, failed, func() { reloads <- struct{}{}; <-goOn })
		close(over)
	}()
	signals <- syscall.SIGHUP
	<-reloads
	for range 3 {
		signals <- syscall.SIGHUP
	}
	signals <- syscall.SIGTERM
	<-over
	close(goOn)
	<-reloads
}
