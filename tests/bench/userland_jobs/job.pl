# SPDX-License-Identifier: MIT
# What Perl scripts do: lines, hashes, regular expressions, sorting, sprintf.
use strict;
use warnings;

my (%count, %sum, $changed);
for my $round (1 .. 2) {
    open(my $lines, '<', 'lines') or die;
    while (my $line = <$lines>) {
        chomp $line;
        my ($number, $group, $word) = split / /, $line;
        $count{$word}++;
        $sum{$group % 100} += $number;
        $changed++ if $line =~ s/(\d)(\d)\b/$2$1/g;
        $changed += length(join('-', reverse split //, $word)) if $word =~ /^[aeiou].*[^aeiou]$/;
    }
}
print "$changed\n";
printf "%s %d\n", $_, $count{$_} for (sort { $count{$b} <=> $count{$a} || $a cmp $b } keys %count)[0 .. 20];
printf "%02d %015d %.6e\n", $_, $sum{$_}, $sum{$_} / 3 for sort { $a <=> $b } keys %sum;
