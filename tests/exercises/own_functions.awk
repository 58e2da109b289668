# Edits the assembly of a learner's file. Only the functions of the exercise stay symbols that the linker sees: a helper, a variable
# or a main() of the learner's then replaces nothing of ours. objcopy would do this to an object, but macOS has none.
# usage: awk -v functions="softmax_forward ..." [-v prefix=yours_] -f own_functions.awk FILE.s
# With a prefix, the file defines each function under the name prefix + name. A call in the file keeps the name without
# it, so it reaches whoever defines that name.

# macOS puts an underscore before each name of C.
BEGIN {
    count = split(functions, name, " ")
    for (i = 1; i <= count; i++) {
        defined_as[name[i]] = prefix name[i]
        defined_as["_" name[i]] = "_" prefix name[i]
    }
}

# softmax_forward:
match($0, /^[A-Za-z_0-9]+:/) && (substr($0, 1, RLENGTH - 1) in defined_as) {
    $0 = defined_as[substr($0, 1, RLENGTH - 1)] substr($0, RLENGTH)
}

# .globl softmax_forward; names that begin with two underscores are the compiler's. Those with odr_asan belong to a variable.
/^[ \t]*\.(globl|global|weak|weak_definition|hidden|private_extern|type|size)[ \t]/ {
    symbol = $2
    sub(/,.*/, "", symbol)
    if (symbol in defined_as) {
        # The size of a function ends its definition.
        if ($1 == ".size")
            $0 = "\t.size\t" defined_as[symbol] ", .-" defined_as[symbol]
        else
            sub(symbol, defined_as[symbol])
    } else if ($1 !~ /^\.(type|size)$/ && (symbol ~ /^(_?[A-Za-z0-9][A-Za-z_0-9]*|_)$/ || symbol ~ /^_*odr_asan/))
        next
}
{ print }
