// Command cyclonus-matcher asks cyclonus' own policy engine about every pod, every pod and its ports, in the objects that
// a folder holds, and says how long that took, from the objects as they are stored to the last answer.
//
// Usage: cyclonus-matcher FOLDER ANSWERS. The folder has namespaces.json, pods.json and networkpolicies.json, lists as the
// API server gives them. ANSWERS becomes one byte for each connection, "1" where it is allowed and "0" where not: source by
// source, and of each the targets' ports in the pods' order.
//
// Usage: cyclonus-matcher cases POD-ADDRESS NAMESPACE... It prints the cases that cyclonus generates for pods a, b and c in
// these namespaces, each as its description and steps, and a step as its actions.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/mattfenwick/cyclonus/pkg/generator"
	"github.com/mattfenwick/cyclonus/pkg/matcher"
	v1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
)

type port struct {
	peer     *matcher.TrafficPeer
	number   int
	name     string
	protocol v1.Protocol
}

func main() {
	if os.Args[1] == "cases" {
		cases(os.Args[2], os.Args[3:])
		return
	}
	folder, answers := os.Args[1], os.Args[2]
	started, spent := time.Now(), used()
	var namespaces v1.NamespaceList
	var pods v1.PodList
	var policies networkingv1.NetworkPolicyList
	read(folder, "namespaces.json", &namespaces)
	read(folder, "pods.json", &pods)
	read(folder, "networkpolicies.json", &policies)
	parsed := time.Since(started)

	pointers := make([]*networkingv1.NetworkPolicy, len(policies.Items))
	for i := range policies.Items {
		pointers[i] = &policies.Items[i]
	}
	policy := matcher.BuildNetworkPolicies(true, pointers) // simplified, as cyclonus does unless told otherwise
	peers, ports := places(namespaces.Items, pods.Items)

	cells := make([]byte, 0, len(peers)*len(ports))
	for _, source := range peers {
		for _, target := range ports {
			cell := byte('0')
			if policy.IsTrafficAllowed(&matcher.Traffic{
				Source:           source,
				Destination:      target.peer,
				ResolvedPort:     target.number,
				ResolvedPortName: target.name,
				Protocol:         target.protocol,
			}).IsAllowed() {
				cell = '1'
			}
			cells = append(cells, cell)
		}
	}
	took := time.Since(started)
	spent = used() - spent

	check(os.WriteFile(answers, cells, 0o600))
	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"seconds": took.Seconds(), "read_seconds": parsed.Seconds(), "cpu_seconds": spent.Seconds(), "cells": len(cells),
	}))
}

// cases prints what cyclonus tries on a cluster.
func cases(address string, namespaces []string) {
	var told []map[string]any
	for _, each := range generator.NewTestCaseGenerator(true, address, namespaces, nil, nil).GenerateTestCases() {
		var steps [][]*generator.Action
		for _, step := range each.Steps {
			steps = append(steps, step.Actions)
		}
		told = append(told, map[string]any{"description": each.Description, "steps": steps})
	}
	check(json.NewEncoder(os.Stdout).Encode(told))
}

// places are the pods as sources, and each port that they declare as a target. A pod in its node's network is, as for a
// policy, no pod: an address outside.
func places(namespaces []v1.Namespace, pods []v1.Pod) ([]*matcher.TrafficPeer, []port) {
	labels := map[string]map[string]string{}
	for _, namespace := range namespaces {
		labels[namespace.Name] = namespace.Labels
	}
	var peers []*matcher.TrafficPeer
	var ports []port
	for _, pod := range pods {
		peer := &matcher.TrafficPeer{IP: pod.Status.PodIP}
		if !pod.Spec.HostNetwork {
			peer.Internal = &matcher.InternalPeer{
				PodLabels: pod.Labels, NamespaceLabels: labels[pod.Namespace], Namespace: pod.Namespace,
			}
		}
		peers = append(peers, peer)
		for _, container := range pod.Spec.Containers {
			for _, each := range container.Ports {
				ports = append(ports, port{peer, int(each.ContainerPort), each.Name, each.Protocol})
			}
		}
	}
	return peers, ports
}

// used is the processor time of all threads so far.
func used() time.Duration {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func read(folder string, name string, into any) {
	text, err := os.ReadFile(filepath.Join(folder, name))
	check(err)
	check(json.Unmarshal(text, into))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
