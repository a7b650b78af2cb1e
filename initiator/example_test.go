package initiator_test

import (
	"context"
	"fmt"
	"time"

	"lunar/initiator"
	"lunar/initiator/faketarget"
)

// serve is a target to talk to; it agrees to all that is asked for.
func serve() *faketarget.Target {
	t, err := faketarget.Start(faketarget.Config{
		Targets: []string{"TargetName=iqn.2026-01.example:disk", "TargetAddress=192.0.2.1:3260,1"},
	})
	if err != nil {
		panic(err)
	}
	return t
}

func ExampleDiscover() {
	target := serve()
	defer target.Stop()
	list, err := initiator.Discover(context.Background(), target.Portal(), "")
	for _, t := range list {
		fmt.Println(t.Name, t.Addresses)
	}
	fmt.Println(err)
	// Output:
	// iqn.2026-01.example:disk [192.0.2.1:3260,1]
	// <nil>
}

func ExampleOpenDisk() {
	target := serve()
	defer target.Stop()
	ctx := context.Background()
	session, err := initiator.Dial(ctx, initiator.Config{Portal: target.Portal(), Target: "iqn.2026-01.example:disk"})
	if err != nil {
		fmt.Println(err)
		return
	}
	disk, err := initiator.OpenDisk(ctx, session, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	block := make([]byte, disk.BlockBytes())
	copy(block, "hello")
	if _, err := disk.WriteAt(block, 4096); err != nil {
		fmt.Println(err)
	}
	if _, err := disk.ReadAt(block, 4096); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("%d bytes in blocks of %d: %s\n", disk.Bytes(), disk.BlockBytes(), block[:5])
	fmt.Println(session.Logout(ctx))
	// Output:
	// 1048576 bytes in blocks of 512: hello
	// <nil>
}

// A session may have several connections; its commands go over the least busy one.
func ExampleConfig_connections() {
	target := serve()
	defer target.Stop()
	ctx := context.Background()
	session, err := initiator.Dial(ctx, initiator.Config{
		Portal: target.Portal(), Target: "iqn.2026-01.example:disk", Connections: 2, MaxConnections: 3,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = session.Close() }()
	cid, err := session.Add(ctx)
	fmt.Println(len(session.Connections()), err)
	fmt.Println(session.Remove(ctx, cid), len(session.Connections()))
	// Output:
	// 3 <nil>
	// <nil> 2
}

// At level 2 commands outlive their connection, and a session that is lost altogether
// is opened anew where that is allowed.
func ExampleConfig_recovery() {
	target := serve()
	defer target.Stop()
	ctx := context.Background()
	session, err := initiator.Dial(ctx, initiator.Config{
		Portal: target.Portal(), Target: "iqn.2026-01.example:disk",
		Connections: 2, RecoveryLevel: 2, DataDigest: true, Probe: 500 * time.Millisecond,
		Reconnect: &initiator.Reconnect{Attempts: 5},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = session.Close() }()
	p := session.Params()
	fmt.Println("level", p.ErrorRecoveryLevel, "connections", len(session.Connections()))
	fmt.Println("lost so far:", session.Counters().Lost)
	// Output:
	// level 2 connections 2
	// lost so far: 0
}
