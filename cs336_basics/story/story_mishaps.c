#include "story/story_grammar.h"

/*
 * The mishaps that can happen in each kind of place, and who can help. A plot is one of two: the hero looks for the
 * thing and gets into trouble ("falls"), or owns the thing and loses it ("losses").
 */
#define PLOT_FIELDS "outset back mishaps"
#define MISHAP_FIELDS "event cry rescue helpers"

const StoryRule story_mishaps[] = {
    STORY_RULE("water_plots", PLOT_FIELDS, {1, "{seek}|{found}|{water_falls}"},
               {1, "{gift}|{returned}|{water_losses}"}),
    STORY_RULE("wood_plots", PLOT_FIELDS, {1, "{seek}|{found}|{wood_falls}"}, {1, "{gift}|{returned}|{wood_losses}"}),
    STORY_RULE("hill_plots", PLOT_FIELDS, {1, "{seek}|{found}|{hill_falls}"}, {1, "{gift}|{returned}|{hill_losses}"}),
    STORY_RULE("town_plots", PLOT_FIELDS, {1, "{seek}|{found}|{town_falls}"}, {1, "{gift}|{returned}|{town_losses}"}),
    STORY_RULE("farm_plots", PLOT_FIELDS, {1, "{seek}|{found}|{farm_falls}"}, {1, "{gift}|{returned}|{farm_losses}"}),
    STORY_RULE("dark_plots", PLOT_FIELDS, {1, "{seek}|{found}|{dark_falls}"}, {1, "{gift}|{returned}|{dark_losses}"}),

    STORY_RULE("water_falls", MISHAP_FIELDS,
               {3, "{hero} slipped on a wet stone and fell into the water.|Help! {Hero.I} cannot swim!|"
                   "{friend} swam over and pulled {hero.him} to the bank.|{swimmers}"},
               {2, "{hero} sank into the soft mud and could not move.|Help! {Hero.I} {hero.am} stuck!|"
                   "{friend} pulled and pulled until the mud let go with a loud pop.|{swimmers}"},
               {2,
                "{hero} stepped onto a log, and it drifted away from the bank.|Help! {Hero.I} {hero.am} floating away!|"
                "{friend} swam behind the log and pushed it back to the bank.|{swimmers}"}),
    STORY_RULE("water_losses", MISHAP_FIELDS,
               {3, "the {color} {thing} fell into the water and sank.|Oh no! It is gone!|"
                   "{friend} dived down and came up with the {color} {thing}.|{swimmers}"},
               {2, "a wave took the {color} {thing} and carried it away.|Stop! Please come back!|"
                   "{friend} swam after the {color} {thing} and brought it to the bank.|{swimmers}"},
               {2, "the wind blew the {color} {thing} onto a rock in the water.|It is too far away!|"
                   "{friend} swam to the rock and back with the {color} {thing}.|{swimmers}"}),

    STORY_RULE("wood_falls", MISHAP_FIELDS,
               {3, "{hero} took a wrong turn and got lost among the trees.|Help! {Hero.I} {hero.am} lost!|"
                   "{friend} flew ahead from tree to tree and showed {hero} the way.|{birds}"},
               {2, "{hero} fell into a deep hole under the leaves.|Help! {Hero.I} cannot get out!|"
                   "{friend} dug a little path down to the bottom, and {hero} climbed out.|{diggers}"},
               {2, "{hero} got caught in a thorn bush.|Ouch! It will not let {hero.me} go!|"
                   "{friend} lifted the thorns aside, one by one, until {hero} {hero.was} free.|{birds}"}),
    STORY_RULE("wood_losses", MISHAP_FIELDS,
               {3, "the {color} {thing} got stuck at the top of a tree.|{Hero.I} cannot reach it!|"
                   "{friend} flew up to the highest branch and brought the {color} {thing} down.|{birds}"},
               {2, "the {color} {thing} slid down a rabbit hole.|Oh no! The hole is so deep!|"
                   "{friend} dug and dug and came back up with the {color} {thing}.|{diggers}"},
               {2, "a cheeky magpie grabbed the {color} {thing} and took it to its nest.|Stop, thief! Give it back!|"
                   "{friend} flew to the nest, and the magpie had to give up the {color} {thing}.|{birds}"}),

    STORY_RULE(
        "hill_falls", MISHAP_FIELDS,
        {3, "{hero} tripped and rolled all the way down the slope.|Ouch! {Hero.I} cannot get up!|"
            "{friend} carried {hero.him} back up to the path.|{carriers}"},
        {2, "{hero} climbed onto a high rock and did not dare to come down.|Help! {Hero.I} {hero.am} stuck up here!|"
            "{friend} stood below the rock, and {hero} slid down onto {friend.his} back.|{carriers}"},
        {2, "a thick fog came up, and {hero} could not see the path.|Hello? Is anybody there?|"
            "{friend} knew every stone and led {hero.him} through the fog, step by step.|{carriers}"}),
    STORY_RULE("hill_losses", MISHAP_FIELDS,
               {3, "the wind snatched the {color} {thing} and carried it off.|Come back! Please come back!|"
                   "{friend} raced after the wind and caught the {color} {thing} in the air.|{birds}"},
               {2, "the {color} {thing} tumbled down the slope into a ditch full of nettles.|Oh no! Not the nettles!|"
                   "{friend} did not mind nettles and fetched the {color} {thing}.|{carriers}"},
               {2, "the {color} {thing} dropped into a crack between two big rocks.|The rocks are too heavy!|"
                   "{friend} pushed one rock aside, and there lay the {color} {thing}.|{carriers}"}),

    STORY_RULE(
        "town_falls", MISHAP_FIELDS,
        {3, "{hero} got lost in the crowd.|Help! {Hero.I} do not know the way!|"
            "{friend} took {hero.him} by the hand and found the right street.|{townsfolk}"},
        {2, "{hero} bumped into a table, and a hundred apples rolled away.|Oh dear! {Hero.I} {hero.am} so sorry!|"
            "{friend} helped {hero.him} find every single apple.|{townsfolk}"},
        {2, "{hero} walked into a ladder and a pot of paint fell down.|Oh no! {Hero.I} {hero.am} green all over!|"
            "{friend} fetched soap and warm water and washed {hero} clean.|{townsfolk}"}),
    STORY_RULE("town_losses", MISHAP_FIELDS,
               {3, "the {color} {thing} fell through the bars of a drain.|It is gone! It is gone forever!|"
                   "{friend} bent a wire into a hook and fished the {color} {thing} out.|{townsfolk}"},
               {2, "a big dog snatched the {color} {thing} and ran around the corner.|Stop that dog!|"
                   "{friend} held out a sausage, and the dog dropped the {color} {thing} at once.|{townsfolk}"},
               {2, "somebody picked up the wrong bag, and the {color} {thing} was in it.|Wait! That is not your bag!|"
                   "{friend} ran after the bag and came back with the {color} {thing}.|{townsfolk}"}),

    STORY_RULE("farm_falls", MISHAP_FIELDS,
               {3, "an angry goose chased {hero} up onto a cart.|Help! It wants to bite {hero.me}!|"
                   "{friend} said one stern word, and the goose waddled off.|{carriers}"},
               {2, "{hero} got stuck in a hole in the fence.|Help! {Hero.I} cannot move!|"
                   "{friend} pushed a board aside, and {hero} {hero.was} free.|{carriers}"},
               {2, "{hero} climbed an apple tree and could not get down again.|Help! It is so high up here!|"
                   "{friend} stood under the tree, and {hero} slid down onto {friend.his} back.|{carriers}"}),
    STORY_RULE("farm_losses", MISHAP_FIELDS,
               {3, "the {color} {thing} fell into the well.|Oh no! The well is so deep!|"
                   "{friend} turned the wheel of the well, and up came the {color} {thing}.|{carriers}"},
               {2, "an angry goose ran off with the {color} {thing}.|Give that back, you silly goose!|"
                   "{friend} stood in the gate, and the goose had to drop the {color} {thing}.|{carriers}"},
               {2, "the {color} {thing} vanished in a heap of hay.|{Hero.I} will never find it again!|"
                   "{friend} moved the hay, straw by straw, until the {color} {thing} peeped out.|{carriers}"}),

    STORY_RULE("dark_falls", MISHAP_FIELDS,
               {3, "the candle went out, and everything was black.|It is so dark! Is anybody there?|"
                   "{friend} made a soft light and led {hero.him} back outside.|{lights}"},
               {2, "a door fell shut behind {hero}.|Help! {Hero.I} cannot open it!|"
                   "{friend} slipped through the keyhole and turned the key from outside.|{crawlers}"},
               {2, "something howled, and {hero} hid in a corner.|Who is there?|"
                   "{friend} shone into every corner, and it was only the wind.|{lights}"}),
    STORY_RULE("dark_losses", MISHAP_FIELDS,
               {3, "the {color} {thing} slipped into a crack in the floor.|It is too dark down there!|"
                   "{friend} lit up the crack, and {hero} pulled out the {color} {thing}.|{lights}"},
               {2, "the {color} {thing} got tangled in a huge cobweb.|It is stuck! {Hero.I} cannot reach it!|"
                   "{friend} climbed up and untied the {color} {thing}, thread by thread.|{crawlers}"},
               {2, "the {color} {thing} got lost in the dark.|Where is it? {Hero.I} cannot see a thing!|"
                   "{friend} shone into every corner until the {color} {thing} glittered.|{lights}"}),
    {0},
};
