#!/usr/bin/perl
# perl train.pl LR MOMENTUM EPOCHS OLD NEW
#
# A training program that knows nothing of hbtrack: gradient descent with momentum down a narrow
# valley (Rosenbrock's). It begins with the state in the file OLD, if there is one, goes on up to
# EPOCHS, writes its state to the file NEW, and prints the loss.
use strict;
use warnings;

my ($lr, $momentum, $epochs, $old, $new) = @ARGV;
my ($epoch, $x, $y, $vx, $vy) = (0, -1.5, 1.5, 0, 0);
if (open(my $file, '<', $old)) {
    my $line = <$file> // '';
    die "$old is not a whole state\n" unless $line =~ /^(\S+ ){4}\S+\n$/;
    ($epoch, $x, $y, $vx, $vy) = split ' ', $line;
}
for (; $epoch < $epochs; $epoch++) {
    for (1 .. 20) {
        my $slope = $y - $x * $x;
        $vx = $momentum * $vx - $lr * (2 * ($x - 1) - 400 * $x * $slope);
        $vy = $momentum * $vy - $lr * 200 * $slope;
        ($x, $y) = ($x + $vx, $y + $vy);
    }
    die "diverged in epoch $epoch\n" unless abs($x) < 1e9;    # also where it is no number
}
open(my $file, '>', $new) or die "$new: $!\n";
print $file join(' ', map { sprintf '%.17g', $_ } $epoch, $x, $y, $vx, $vy), "\n";
close($file) or die "$new: $!\n";
printf "%.17g\n", (1 - $x)**2 + 100 * ($y - $x * $x)**2;
