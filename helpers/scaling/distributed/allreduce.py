"""The all-reduce of a step, by hand: a ring of messages, after which every rank has the sum of all."""

import torch
import torch.distributed as dist


def ring(tensor):
    """Replace `tensor` by its sum over all ranks; every rank calls it. Returns the bytes that this rank sent.

    tensor: of one dimension, as long as on the other ranks. Each rank sends 2 (N − 1) messages of an Nth of it.
    Source: Patarasuk & Yuan 2009, Bandwidth optimal all-reduce algorithms, J. Parallel Distrib. Comput. 69(2).
    """
    me, n, sent = dist.get_rank(), dist.get_world_size(), 0
    chunks = tensor.tensor_split(n)  # views: what is written to a chunk is written to the tensor
    for step in range(n - 1):  # add up: at the end, chunk me + 1 has everybody's numbers
        outgoing, own = chunks[(me - step) % n], chunks[(me - step - 1) % n]
        own += pass_on(outgoing, like=own)
        sent += outgoing.nbytes
    for step in range(n - 1):  # hand round: at the end, so have all chunks
        outgoing, own = chunks[(me + 1 - step) % n], chunks[(me - step) % n]
        own.copy_(pass_on(outgoing, like=own))
        sent += outgoing.nbytes
    return sent


def pass_on(outgoing, like):
    """Send to the next rank while receiving from the one before; returns what came."""
    me, n = dist.get_rank(), dist.get_world_size()
    incoming = torch.empty_like(like)
    sending = dist.isend(outgoing.contiguous(), (me + 1) % n)
    dist.recv(incoming, (me - 1) % n)
    sending.wait()
    return incoming


def compare(length, seed=0):
    """The ring beside the library's all-reduce, on numbers that differ from rank to rank.

    Returns {"apart": the largest difference, "sent": bytes that this rank sent, "sum": of the result}.
    """
    mine = torch.randn(length, generator=torch.Generator().manual_seed(1000 * seed + dist.get_rank()))
    by_hand, library = mine.clone(), mine.clone()
    sent = ring(by_hand)
    dist.all_reduce(library)
    apart = (by_hand - library).abs().max().item() if length else 0.0
    return {"apart": apart, "sent": sent, "sum": library.sum().item()}
